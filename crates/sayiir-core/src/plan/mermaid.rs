//! A plan as a Mermaid flowchart. Nodes are drawn in the plan's order, which opens and closes what
//! they are nested in; nothing recurses.

use std::fmt::{self, Write as _};

use super::{Container, Node, NodeIx, NodeSpec, Plan};

impl Plan {
    /// The graph as a Mermaid flowchart: forks, routes, loops, children and longer branches are subgraphs.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use sayiir_core::prelude::*;
    ///
    /// let workflow = WorkflowBuilder::new(WorkflowContext::new("orders", Arc::new(JsonCodec), Arc::new(())))
    ///     .then("price", |quantity: u32| async move { Ok(quantity * 5) })
    ///     .wait_for_signal("payment", "paid", None)
    ///     .build()?;
    /// assert_eq!(
    ///     workflow.plan().to_mermaid(),
    ///     "flowchart TD\n  \
    ///        n0[\"price\"]\n  \
    ///        n1[/\"payment: waits for paid\"/]\n  \
    ///        n0 --> n1\n"
    /// );
    /// # Ok::<(), BuildErrors>(())
    /// ```
    pub fn to_mermaid(&self) -> String {
        let mut drawing = Drawing { plan: self, text: "flowchart TD\n".to_owned(), open: Vec::new() };
        for (ix, node) in self.iter() {
            drawing.enter(ix);
            drawing.node(ix, node);
        }
        drawing.close_to(0);
        for (ix, node) in self.iter() {
            drawing.edges(ix, node);
        }
        drawing.text
    }
}

/// A subgraph that is open.
#[derive(Clone, Copy, PartialEq)]
enum Open {
    /// A fork, route, loop or child.
    Group(NodeIx),
    /// A branch or arm of several nodes.
    Lane(Container),
}

struct Drawing<'a> {
    plan: &'a Plan,
    text: String,
    open: Vec<Open>,
}

impl Drawing<'_> {
    /// Closes and opens subgraphs until the node's own place is reached.
    fn enter(&mut self, ix: NodeIx) {
        let wanted = self.around(ix);
        let common = self.open.iter().zip(&wanted).take_while(|(open, wanted)| open == wanted).count();
        self.close_to(common);
        for open in wanted.into_iter().skip(common) {
            if let Open::Lane(container) = open {
                let (number, lane) = lane(container);
                let name = Label(lane_name(self.plan, container));
                self.line(format_args!("subgraph b{number}_{lane}[\"{name}\"]"));
            }
            self.open.push(open);
        }
    }

    /// The subgraphs around a node, from the outside in. A group is opened by its own node.
    fn around(&self, ix: NodeIx) -> Vec<Open> {
        let mut around = Vec::new();
        let mut path = &self.plan.node(ix).path;
        let mut container = self.plan.node(ix).container;
        while let Some(inside) = container {
            let outer = self.plan.node(inside.node());
            match inside {
                // A branch of one task is drawn as that task.
                Container::Branch { .. } if is_only(path, &outer.path) => {}
                Container::Branch { .. } | Container::Arm { .. } | Container::DefaultArm { .. } => around.push(Open::Lane(inside)),
                Container::Body { .. } | Container::Child { .. } => {}
            }
            around.push(Open::Group(inside.node()));
            path = &outer.path;
            container = outer.container;
        }
        around.reverse();
        around
    }

    fn close_to(&mut self, depth: usize) {
        while self.open.len() > depth {
            if let Some(Open::Group(ix)) = self.open.last().copied() {
                self.tail(ix);
            }
            self.open.pop();
            self.line(format_args!("end"));
        }
    }

    /// Draws a node, or the head of a container.
    fn node(&mut self, ix: NodeIx, node: &Node) {
        let (number, id) = (ix.index(), Label(&node.id));
        match &node.spec {
            NodeSpec::Task(_) => self.line(format_args!("n{number}[\"{id}\"]")),
            NodeSpec::Delay { duration } => self.line(format_args!("n{number}([\"{id}: waits {duration:?}\"])")),
            NodeSpec::Signal { name, timeout: None } => self.line(format_args!("n{number}[/\"{id}: waits for {}\"/]", Label(name))),
            NodeSpec::Signal { name, timeout: Some(timeout) } => {
                self.line(format_args!("n{number}[/\"{id}: waits {timeout:?} for {}\"/]", Label(name)));
            }
            NodeSpec::Fork { .. } => self.group(ix, format_args!("{id}"), format_args!("{{{{\"fork\"}}}}")),
            NodeSpec::Route { .. } => self.group(ix, format_args!("{id}"), format_args!("{{\"{id}\"}}")),
            NodeSpec::Loop { max_iterations, .. } => {
                self.group(ix, format_args!("{id}: at most {max_iterations} times"), format_args!("((\"loop\"))"));
            }
            NodeSpec::Child { version, .. } => {
                self.group(ix, format_args!("{id} {}", Label(version)), format_args!("([\"{id}\"])"));
            }
        }
    }

    fn group(&mut self, ix: NodeIx, title: fmt::Arguments<'_>, head: fmt::Arguments<'_>) {
        let number = ix.index();
        self.line(format_args!("subgraph g{number}[\"{title}\"]"));
        self.open.push(Open::Group(ix));
        self.line(format_args!("n{number}{head}"));
    }

    /// Draws the node at which all paths through a container meet.
    fn tail(&mut self, ix: NodeIx) {
        let (number, node) = (ix.index(), self.plan.node(ix));
        match &node.spec {
            NodeSpec::Fork { .. } => self.line(format_args!("e{number}[\"{}\"]", Label(&node.id))),
            NodeSpec::Loop { .. } => self.line(format_args!("e{number}{{\"done?\"}}")),
            NodeSpec::Route { .. } | NodeSpec::Child { .. } => self.line(format_args!("e{number}((\" \"))")),
            NodeSpec::Task(_) | NodeSpec::Delay { .. } | NodeSpec::Signal { .. } => {}
        }
    }

    /// Draws what leaves a node, and for a container also what enters it.
    fn edges(&mut self, ix: NodeIx, node: &Node) {
        let number = ix.index();
        match &node.spec {
            NodeSpec::Fork { branches, .. } => {
                for branch in branches {
                    self.line(format_args!("n{number} -->|\"{}\"| n{}", Label(&branch.name), branch.first.index()));
                }
            }
            NodeSpec::Route { arms, default, .. } => {
                for arm in arms {
                    self.line(format_args!("n{number} -->|\"{}\"| n{}", Label(&arm.key), arm.first.index()));
                }
                if let Some(first) = default {
                    self.line(format_args!("n{number} -->|\"else\"| n{}", first.index()));
                }
            }
            NodeSpec::Loop { first, .. } => {
                self.line(format_args!("n{number} --> n{}", first.index()));
                self.line(format_args!("e{number} -->|\"again\"| n{number}"));
            }
            NodeSpec::Child { first, .. } => self.line(format_args!("n{number} --> n{}", first.index())),
            NodeSpec::Task(_) | NodeSpec::Delay { .. } | NodeSpec::Signal { .. } => {}
        }
        let exit = match &node.spec {
            NodeSpec::Fork { .. } | NodeSpec::Route { .. } | NodeSpec::Loop { .. } | NodeSpec::Child { .. } => 'e',
            NodeSpec::Task(_) | NodeSpec::Delay { .. } | NodeSpec::Signal { .. } => 'n',
        };
        match (node.next, node.container) {
            (Some(next), _) => self.line(format_args!("{exit}{number} --> n{}", next.index())),
            (None, Some(container)) => self.line(format_args!("{exit}{number} --> e{}", container.node().index())),
            (None, None) => {}
        }
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        let indent = 2 + 2 * self.open.len();
        // Writing to a `String` cannot fail.
        let _ = writeln!(self.text, "{:indent$}{line}", "");
    }
}

/// Whether a branch's node stands at `fork/branch`, with no segment of its own.
fn is_only(path: &str, fork: &str) -> bool {
    path.strip_prefix(fork).is_some_and(|rest| rest.matches('/').count() == 1)
}

/// The branch's name or the arm's key.
fn lane_name(plan: &Plan, container: Container) -> &str {
    match (container, &plan.node(container.node()).spec) {
        (Container::Branch { index, .. }, NodeSpec::Fork { branches, .. }) => branches.get(index).map_or("", |branch| &branch.name),
        (Container::Arm { index, .. }, NodeSpec::Route { arms, .. }) => arms.get(index).map_or("", |arm| &arm.key),
        (
            Container::Branch { .. }
            | Container::Arm { .. }
            | Container::DefaultArm { .. }
            | Container::Body { .. }
            | Container::Child { .. },
            _,
        ) => "else",
    }
}

/// What makes the subgraph of a branch or arm unique: its container and number. The default arm is 0, others count from 1.
const fn lane(container: Container) -> (usize, usize) {
    let number = container.node().index();
    match container {
        Container::Branch { index, .. } | Container::Arm { index, .. } => (number, index + 1),
        Container::DefaultArm { .. } | Container::Body { .. } | Container::Child { .. } => (number, 0),
    }
}

/// Text inside of a quoted label.
struct Label<'a>(&'a str);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '"' => f.write_str("#quot;"),
            '#' => f.write_str("#35;"),
            '<' => f.write_str("#lt;"),
            '>' => f.write_str("#gt;"),
            '&' => f.write_str("#amp;"),
            '`' => f.write_str("#96;"),
            c if c.is_control() => f.write_str(" "),
            c => f.write_char(c),
        })
    }
}
