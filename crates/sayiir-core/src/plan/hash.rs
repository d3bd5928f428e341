//! The canonical encoding of a definition: what gives a stored position its meaning, and nothing else.
//! Policies, delay lengths and loop bounds are left out: changing them must not strand running instances.

use sha2::{Digest, Sha256};

use super::{Container, ForkBranch, Node, NodeIx, NodeSpec, RouteArm, TaskSpec};
use crate::codec::JSON;
use crate::ids::DefinitionHash;
use crate::task::TaskMetadata;

/// The hash over name, version, graph structure and codec. Every part is length-prefixed or of fixed size.
///
/// JSON adds nothing: the hashes of before codecs had names stay (decision 008).
pub(super) fn definition_hash(name: &str, version: &str, codec: &str, nodes: &[Node]) -> DefinitionHash {
    let mut encoding = Encoding(Sha256::new());
    encoding.text("sayiir-definition-1");
    encoding.text(name);
    encoding.text(version);
    encoding.number(nodes.len());
    for node in nodes {
        encoding.node(node);
    }
    if codec != JSON {
        encoding.text("codec");
        encoding.text(codec);
    }
    DefinitionHash::from_bytes(encoding.0.finalize().into())
}

struct Encoding(Sha256);

impl Encoding {
    fn number(&mut self, number: usize) {
        self.0.update((number as u64).to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.update(text.as_bytes());
    }

    fn link(&mut self, ix: Option<NodeIx>) {
        self.number(ix.map_or(0, |ix| ix.index() + 1));
    }

    fn node(&mut self, node: &Node) {
        let Node { path, id, spec, next, container, pieces: _ } = node;
        self.text(path);
        self.text(id);
        self.link(*next);
        self.container(*container);
        match spec {
            NodeSpec::Task(task) => {
                self.text("task");
                self.task(task);
            }
            NodeSpec::Fork { branches, join } => {
                self.text("fork");
                self.number(branches.len());
                for ForkBranch { name, first } in branches {
                    self.text(name);
                    self.link(Some(*first));
                }
                self.task(join);
            }
            NodeSpec::Route { key, arms, default } => {
                self.text("route");
                self.task(key);
                self.number(arms.len());
                for RouteArm { key, first } in arms {
                    self.text(key);
                    self.link(Some(*first));
                }
                self.link(*default);
            }
            NodeSpec::Loop { first, max_iterations: _, on_max: _ } => {
                self.text("loop");
                self.link(Some(*first));
            }
            NodeSpec::Delay { duration: _ } => self.text("delay"),
            NodeSpec::Signal { name, timeout: _ } => {
                self.text("signal");
                self.text(name);
            }
            NodeSpec::Child { first, version } => {
                self.text("child");
                self.link(Some(*first));
                self.text(version);
            }
        }
    }

    fn container(&mut self, container: Option<Container>) {
        let (kind, ix, index) = match container {
            None => (0, None, 0),
            Some(Container::Branch { fork, index }) => (1, Some(fork), index),
            Some(Container::Arm { route, index }) => (2, Some(route), index),
            Some(Container::DefaultArm { route }) => (3, Some(route), 0),
            Some(Container::Body { repeat }) => (4, Some(repeat), 0),
            Some(Container::Child { child }) => (5, Some(child), 0),
        };
        self.number(kind);
        self.link(ix);
        self.number(index);
    }

    fn task(&mut self, task: &TaskSpec) {
        let TaskSpec { task, metadata } = task;
        let TaskMetadata { version, display_name: _, description: _, timeout: _, retries: _, tags: _, priority: _ } = metadata;
        self.text(task);
        self.text(version.as_deref().unwrap_or_default());
    }
}
