//! A place: a node together with the iterations (and default-arm keys) it is reached in, as one readable path.

use std::fmt::Write as _;
use std::sync::Arc;

use super::{Container, NodeIx, NodeSpec, Plan};
use crate::context::IterationInfo;

/// Where a branch is in its plan.
///
/// Its path is the node's, with the iteration behind each loop (`pages[2]/fetch`, counted from 0) and
/// the key behind each default arm (`route/*[refund]/notify`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The node.
    pub node: NodeIx,
    /// The slots of the path from the outside in: iterations and keys.
    pub slots: Vec<String>,
}

/// A stored node path that is none of this plan's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path:?} is no node of workflow {workflow:?}")]
pub struct InvalidPath {
    /// The path.
    pub path: String,
    /// The workflow.
    pub workflow: String,
}

impl Place {
    /// The place at which the workflow starts.
    pub fn start(plan: &Plan) -> Self {
        Self { node: plan.first(), slots: Vec::new() }.enter(plan)
    }

    /// The node, reached for the first time: in iteration 0 of each loop around it.
    pub fn first_at(plan: &Plan, node: NodeIx) -> Self {
        let slots = plan.node(node).pieces.len().saturating_sub(1);
        Self { node, slots: vec!["0".to_owned(); slots] }.enter(plan)
    }

    /// Goes into loops (at iteration 0) and children until a node that does something itself.
    #[must_use]
    pub fn enter(mut self, plan: &Plan) -> Self {
        loop {
            match &plan.node(self.node).spec {
                NodeSpec::Loop { first, .. } => {
                    self.node = *first;
                    self.slots.push("0".to_owned());
                }
                NodeSpec::Child { first, .. } => self.node = *first,
                NodeSpec::Task(_) | NodeSpec::Fork { .. } | NodeSpec::Route { .. } | NodeSpec::Delay { .. } | NodeSpec::Signal { .. } => {
                    return self;
                }
            }
        }
    }

    /// The loops around the node with their iterations, from the outside in.
    pub fn iterations(&self, plan: &Plan) -> Vec<IterationInfo> {
        let (mut iterations, mut slots) = (Vec::new(), self.slots.iter().rev());
        let mut container = plan.node(self.node).container;
        while let Some(inside) = container {
            let outer = plan.node(inside.node());
            match inside {
                Container::Body { .. } => {
                    let iteration = slots.next().and_then(|slot| slot.parse().ok()).unwrap_or(0);
                    if let NodeSpec::Loop { max_iterations, .. } = outer.spec {
                        iterations.push(IterationInfo { loop_id: outer.path.clone(), iteration, max_iterations });
                    }
                }
                Container::DefaultArm { .. } => {
                    slots.next();
                }
                Container::Branch { .. } | Container::Arm { .. } | Container::Child { .. } => {}
            }
            container = outer.container;
        }
        iterations.reverse();
        iterations
    }

    /// The readable path.
    pub fn path(&self, plan: &Plan) -> Arc<str> {
        let node = plan.node(self.node);
        if self.slots.is_empty() {
            return Arc::clone(&node.path);
        }
        let mut path = String::with_capacity(node.path.len() + 4 * self.slots.len());
        let mut slots = self.slots.iter();
        for (number, piece) in node.pieces.iter().enumerate() {
            if number > 0
                && let Some(slot) = slots.next()
            {
                let _ = write!(path, "[{}]", escape(slot));
            }
            path.push_str(piece);
        }
        Arc::from(path)
    }

    /// Reads a path that [`Place::path`] wrote.
    pub fn parse(plan: &Plan, path: &str) -> Result<Self, InvalidPath> {
        let invalid = || InvalidPath { path: path.to_owned(), workflow: plan.name().to_string() };
        if !path.contains('[') {
            let node = plan.find(path).ok_or_else(invalid)?;
            return if plan.node(node).pieces.len() == 1 { Ok(Self { node, slots: Vec::new() }) } else { Err(invalid()) };
        }
        let (mut node_path, mut slots) = (String::with_capacity(path.len()), Vec::new());
        let mut rest = path;
        while let Some((before, after)) = rest.split_once('[') {
            let (slot, after) = after.split_once(']').ok_or_else(invalid)?;
            node_path.push_str(before);
            slots.push(unescape(slot));
            rest = after;
        }
        node_path.push_str(rest);
        let node = plan.find(&node_path).ok_or_else(invalid)?;
        if plan.node(node).pieces.len() == slots.len() + 1 { Ok(Self { node, slots }) } else { Err(invalid()) }
    }
}

/// Writes a name so that it can stand in a path: what has a meaning there is percent-encoded.
pub(crate) fn escape(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        if matches!(c, '/' | '[' | ']' | '%' | '#' | '*') || c.is_control() {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(text, "%{byte:02X}");
            }
        } else {
            text.push(c);
        }
    }
    text
}

/// The path under which the journal has a sub-step of the task at the node path `task`.
pub fn sub_step_path(task: &str, name: &str) -> Arc<str> {
    Arc::from(format!("{task}/{}", escape(name)))
}

/// Reads what [`escape`] wrote.
pub(crate) fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let digit = |c: Option<u8>| c.and_then(|c| char::from(c).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        if byte == b'%'
            && let (Some(high), Some(low)) = (digit(ahead.next()), digit(ahead.next()))
        {
            bytes.push(high << 4 | low);
            rest = ahead;
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
