//! A definition as a Mermaid flowchart. Nodes are drawn in the plan's order, which opens and closes what
//! they are nested in; nothing recurses.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::mark::{NodeMark, Standing};
use super::tree::Tree;
use super::{DefinitionNode, WorkflowDefinition};
use crate::plan::{NodeSpec, Plan};
use crate::workflow::NodeKind;

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
        draw(&WorkflowDefinition::of(self), &[], &|at, node| match self.nodes().get(at).map(|node| &node.spec) {
            Some(NodeSpec::Delay { duration }) => Some(format!("waits {duration:?}")),
            Some(NodeSpec::Signal { name, timeout: Some(timeout) }) => Some(format!("waits {timeout:?} for {}", Label(name))),
            Some(NodeSpec::Loop { max_iterations, .. }) => Some(format!("at most {max_iterations} times")),
            Some(
                NodeSpec::Task(_)
                | NodeSpec::Signal { timeout: None, .. }
                | NodeSpec::Fork { .. }
                | NodeSpec::Route { .. }
                | NodeSpec::Child { .. },
            )
            | None => of_definition(node),
        })
    }
}

impl WorkflowDefinition {
    /// The graph as a Mermaid flowchart, as [`Workflow::to_mermaid`](crate::workflow::Workflow::to_mermaid) draws it but without what
    /// a definition does not hold: how long it waits, how often it repeats. Marked nodes are coloured.
    ///
    /// A definition of the first format does not say what stands where: its nodes are drawn without their edges.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use sayiir_core::prelude::*;
    /// use sayiir_core::workflow::{NodeMark, Standing};
    ///
    /// let orders = WorkflowBuilder::new(WorkflowContext::new("orders", Arc::new(JsonCodec), Arc::new(())))
    ///     .then("price", |quantity: u32| async move { Ok(quantity * 5) })
    ///     .wait_for_signal("payment", "paid", None)
    ///     .build()?;
    /// let drawing = orders.definition().to_mermaid(&[NodeMark::new("payment", Standing::Waits).note("since noon")]);
    /// assert!(drawing.contains("payment: waits for paid<br/>since noon"));
    /// assert!(drawing.contains("class n1 waits"));
    /// # Ok::<(), BuildErrors>(())
    /// ```
    pub fn to_mermaid(&self, marks: &[NodeMark]) -> String {
        draw(self, marks, &|_, node| of_definition(node))
    }
}

/// What stands behind a node's id, as far as its definition knows.
fn of_definition(node: &DefinitionNode) -> Option<String> {
    match node.kind {
        NodeKind::Delay => Some("waits".to_owned()),
        NodeKind::AwaitSignal => Some(format!("waits for {}", Label(node.signal.as_deref().unwrap_or_default()))),
        NodeKind::Loop => Some("repeats".to_owned()),
        NodeKind::Task | NodeKind::Fork | NodeKind::Branch | NodeKind::ChildWorkflow => None,
    }
}

fn draw(definition: &WorkflowDefinition, marks: &[NodeMark], detail: &dyn Fn(usize, &DefinitionNode) -> Option<String>) -> String {
    let tree = Tree::of(definition);
    let mut nexts = BTreeMap::new();
    let mut firsts = BTreeMap::new();
    for (at, branching) in tree.nodes.iter().enumerate() {
        if let Some(before) = branching.before {
            nexts.insert(before, at);
        } else if let Some((parent, branch)) = branching.parent.zip(branching.node.inside.as_ref().map(|inside| inside.branch.as_deref())) {
            firsts.insert((parent, branch), at);
        }
    }
    let marks = Marks::of(&tree, marks);
    let mut drawing = Drawing { tree: &tree, nexts, firsts, marks: &marks, detail, text: "flowchart TD\n".to_owned(), open: Vec::new() };
    for at in 0..tree.nodes.len() {
        drawing.enter(at);
        drawing.node(at);
    }
    drawing.close_to(0);
    // The first format does not say what is inside of what.
    if definition.format != super::DefinitionFormat::V1 {
        for at in 0..tree.nodes.len() {
            drawing.edges(at);
        }
    }
    drawing.classes();
    drawing.text
}

/// Where the drawn shape of a node is: at its head, or where all paths through it meet again.
type Shape = (usize, bool);

/// The marks by shape. Of several marks of one shape the strongest counts.
struct Marks<'a>(BTreeMap<Shape, &'a NodeMark>);

impl<'a> Marks<'a> {
    fn of(tree: &Tree<'_>, marks: &'a [NodeMark]) -> Self {
        let mut by_shape: BTreeMap<Shape, &NodeMark> = BTreeMap::new();
        for mark in marks {
            let Some(at) = tree.standing_at(&super::go_on::without_iterations(&mark.path)) else { continue };
            let has_tail = tree.get(at).is_some_and(|branching| branching.node.kind == NodeKind::Fork);
            let shape = (at, mark.at_join && has_tail);
            if by_shape.get(&shape).is_none_or(|other| other.standing < mark.standing) {
                by_shape.insert(shape, mark);
            }
        }
        Self(by_shape)
    }

    fn note(&self, shape: Shape) -> String {
        self.0.get(&shape).and_then(|mark| mark.note.as_deref()).map_or_else(String::new, |note| format!("<br/>{}", Label(note)))
    }
}

/// A subgraph that is open.
#[derive(Clone, Copy, PartialEq)]
enum Open<'a> {
    /// A fork, route, loop or child.
    Group(usize),
    /// A branch or arm of several nodes: the name is `None` in a default arm.
    Lane(usize, Option<&'a str>),
}

struct Drawing<'a> {
    tree: &'a Tree<'a>,
    /// The node that follows each in its sequence.
    nexts: BTreeMap<usize, usize>,
    /// The first node inside of each container's branches, arms or body.
    firsts: BTreeMap<(usize, Option<&'a str>), usize>,
    marks: &'a Marks<'a>,
    detail: &'a dyn Fn(usize, &DefinitionNode) -> Option<String>,
    text: String,
    open: Vec<Open<'a>>,
}

impl<'a> Drawing<'a> {
    fn definition_node(&self, at: usize) -> Option<&'a DefinitionNode> {
        self.tree.nodes.get(at).map(|branching| branching.node)
    }

    /// Closes and opens subgraphs until the node's own place is reached.
    fn enter(&mut self, at: usize) {
        let wanted = self.around(at);
        let common = self.open.iter().zip(&wanted).take_while(|(open, wanted)| open == wanted).count();
        self.close_to(common);
        for open in wanted.into_iter().skip(common) {
            if let Open::Lane(container, name) = open {
                let lane = self.lane(container, name);
                self.line(format_args!("subgraph b{container}_{lane}[\"{}\"]", Label(name.unwrap_or("else"))));
            }
            self.open.push(open);
        }
    }

    /// The subgraphs around a node, from the outside in. A group is opened by its own node.
    fn around(&self, at: usize) -> Vec<Open<'a>> {
        let mut around = Vec::new();
        let mut at = at;
        while let Some((node, parent)) = self.tree.nodes.get(at).and_then(|node| node.parent.map(|parent| (node.node, parent))) {
            let Some(outer) = self.definition_node(parent) else { break };
            let name = node.inside.as_ref().and_then(|inside| inside.branch.as_deref());
            match outer.kind {
                // A branch of one task is drawn as that task.
                NodeKind::Fork if is_only(&node.path, &outer.path) => {}
                NodeKind::Fork | NodeKind::Branch => around.push(Open::Lane(parent, name)),
                NodeKind::Loop | NodeKind::ChildWorkflow | NodeKind::Task | NodeKind::Delay | NodeKind::AwaitSignal => {}
            }
            around.push(Open::Group(parent));
            at = parent;
        }
        around.reverse();
        around
    }

    /// What makes the subgraph of a branch or arm unique in its container. The default arm is 0, others count from 1.
    fn lane(&self, container: usize, name: Option<&str>) -> usize {
        let Some((node, name)) = self.definition_node(container).zip(name) else { return 0 };
        node.branches.iter().position(|branch| branch == name).map_or(0, |index| index + 1)
    }

    fn close_to(&mut self, depth: usize) {
        while self.open.len() > depth {
            if let Some(Open::Group(at)) = self.open.last().copied() {
                self.tail(at);
            }
            self.open.pop();
            self.line(format_args!("end"));
        }
    }

    /// Draws a node, or the head of a container.
    fn node(&mut self, at: usize) {
        let Some(node) = self.definition_node(at) else { return };
        let (id, remark) = (Label(&node.id), self.marks.note((at, false)));
        let title = (self.detail)(at, node).map_or_else(|| id.to_string(), |detail| format!("{id}: {detail}"));
        match node.kind {
            NodeKind::Task => self.line(format_args!("n{at}[\"{title}{remark}\"]")),
            NodeKind::Delay => self.line(format_args!("n{at}([\"{title}{remark}\"])")),
            NodeKind::AwaitSignal => self.line(format_args!("n{at}[/\"{title}{remark}\"/]")),
            NodeKind::Fork => self.group(at, format_args!("{title}"), format_args!("{{{{\"fork{remark}\"}}}}")),
            NodeKind::Branch => self.group(at, format_args!("{title}"), format_args!("{{\"{id}{remark}\"}}")),
            NodeKind::Loop => self.group(at, format_args!("{title}"), format_args!("((\"loop{remark}\"))")),
            NodeKind::ChildWorkflow => {
                let version = Label(node.version.as_deref().unwrap_or_default());
                self.group(at, format_args!("{id} {version}"), format_args!("([\"{id}{remark}\"])"));
            }
        }
    }

    fn group(&mut self, at: usize, title: fmt::Arguments<'_>, head: fmt::Arguments<'_>) {
        self.line(format_args!("subgraph g{at}[\"{title}\"]"));
        self.open.push(Open::Group(at));
        self.line(format_args!("n{at}{head}"));
    }

    /// Draws the node at which all paths through a container meet.
    fn tail(&mut self, at: usize) {
        let Some(node) = self.definition_node(at) else { return };
        match node.kind {
            NodeKind::Fork => {
                let remark = self.marks.note((at, true));
                self.line(format_args!("e{at}[\"{}{remark}\"]", Label(&node.id)));
            }
            NodeKind::Loop => self.line(format_args!("e{at}{{\"done?\"}}")),
            NodeKind::Branch | NodeKind::ChildWorkflow => self.line(format_args!("e{at}((\" \"))")),
            NodeKind::Task | NodeKind::Delay | NodeKind::AwaitSignal => {}
        }
    }

    /// Draws what leaves a node, and for a container also what enters it.
    fn edges(&mut self, at: usize) {
        let Some(node) = self.definition_node(at) else { return };
        match node.kind {
            NodeKind::Fork | NodeKind::Branch => {
                for branch in &node.branches {
                    self.entry(at, Some(branch), Some(Cow::Borrowed(branch)));
                }
                if node.default_branch {
                    self.entry(at, None, Some(Cow::Borrowed("else")));
                }
            }
            NodeKind::Loop => {
                self.entry(at, None, None);
                self.line(format_args!("e{at} -->|\"again\"| n{at}"));
            }
            NodeKind::ChildWorkflow => self.entry(at, None, None),
            NodeKind::Task | NodeKind::Delay | NodeKind::AwaitSignal => {}
        }
        let exit = if super::tree::contains(node.kind) { 'e' } else { 'n' };
        match (self.nexts.get(&at).copied(), self.tree.nodes.get(at).and_then(|branching| branching.parent)) {
            (Some(next), _) => self.line(format_args!("{exit}{at} --> n{next}")),
            (None, Some(container)) => self.line(format_args!("{exit}{at} --> e{container}")),
            (None, None) => {}
        }
    }

    /// Draws the way into a branch, arm or body.
    fn entry(&mut self, at: usize, branch: Option<&str>, label: Option<Cow<'_, str>>) {
        let Some(first) = self.firsts.get(&(at, branch)).copied() else { return };
        match label {
            Some(label) => self.line(format_args!("n{at} -->|\"{}\"| n{first}", Label(&label))),
            None => self.line(format_args!("n{at} --> n{first}")),
        }
    }

    /// Colours the marked shapes.
    fn classes(&mut self) {
        for standing in Standing::ALL {
            let shapes = self.marks.0.iter().filter(|(_, mark)| mark.standing == standing);
            let names: Vec<String> = shapes.map(|((at, tail), _)| format!("{}{at}", if *tail { 'e' } else { 'n' })).collect();
            if !names.is_empty() {
                self.line(format_args!("classDef {} {}", standing.as_str(), standing.style()));
                self.line(format_args!("class {} {}", names.join(","), standing.as_str()));
            }
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
