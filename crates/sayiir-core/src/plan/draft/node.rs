//! A node of a draft: how it is moved into the draft around it, and what it must not be.

use std::sync::Arc;
use std::time::Duration;

use crate::error::{BuildError, BuildErrors};
use crate::plan::{Container, ForkBranch, NodeIx, NodeSpec, RouteArm};

/// The longest duration of a delay or timeout: a thousand years.
const MAX_DURATION: Duration = Duration::from_hours(1000 * 366 * 24);

#[derive(Debug, Clone)]
pub(super) struct DraftNode {
    pub(super) id: Arc<str>,
    pub(super) spec: NodeSpec,
    pub(super) next: Option<NodeIx>,
    pub(super) container: Option<Container>,
    /// The node is the only one of its container and shares its path.
    pub(super) collapsed: bool,
}

impl DraftNode {
    pub(super) fn moved_by(self, offset: usize, outer: Container) -> Self {
        let Self { id, spec, next, container, collapsed } = self;
        let moved = |ix: NodeIx| NodeIx(ix.0 + offset);
        let spec = match spec {
            NodeSpec::Task(_) | NodeSpec::Delay { .. } | NodeSpec::Signal { .. } => spec,
            NodeSpec::Fork { branches, join } => {
                let branches = branches.into_iter().map(|ForkBranch { name, first }| ForkBranch { name, first: moved(first) }).collect();
                NodeSpec::Fork { branches, join }
            }
            NodeSpec::Route { key, arms, default } => {
                let arms = arms.into_iter().map(|RouteArm { key, first }| RouteArm { key, first: moved(first) }).collect();
                NodeSpec::Route { key, arms, default: default.map(moved) }
            }
            NodeSpec::Loop { first, max_iterations, on_max } => NodeSpec::Loop { first: moved(first), max_iterations, on_max },
            NodeSpec::Child { first, version } => NodeSpec::Child { first: moved(first), version },
        };
        let container = match container {
            None => outer,
            Some(Container::Branch { fork, index }) => Container::Branch { fork: moved(fork), index },
            Some(Container::Arm { route, index }) => Container::Arm { route: moved(route), index },
            Some(Container::DefaultArm { route }) => Container::DefaultArm { route: moved(route) },
            Some(Container::Body { repeat }) => Container::Body { repeat: moved(repeat) },
            Some(Container::Child { child }) => Container::Child { child: moved(child) },
        };
        Self { id, spec, next: next.map(moved), container: Some(container), collapsed }
    }

    pub(super) fn check(&self, errors: &mut BuildErrors) {
        check_name(&self.id, errors);
        let mut check_duration = |what: &str, duration: Duration| {
            if duration > MAX_DURATION {
                errors.push(BuildError::InvalidDuration {
                    node: self.id.to_string(),
                    reason: format!("a {what} is at most a thousand years, not {duration:?}"),
                });
            }
        };
        match &self.spec {
            NodeSpec::Delay { duration } => check_duration("delay", *duration),
            NodeSpec::Signal { name, timeout } => {
                if let Some(timeout) = timeout {
                    check_duration("timeout", *timeout);
                }
                check_name(name, errors);
            }
            NodeSpec::Task(task) | NodeSpec::Fork { join: task, .. } | NodeSpec::Route { key: task, .. } => {
                if let Some(timeout) = task.metadata.timeout {
                    check_duration("timeout", timeout);
                    if timeout.is_zero() {
                        errors.push(BuildError::InvalidDuration {
                            node: self.id.to_string(),
                            reason: "a timeout of zero would fail every attempt".to_owned(),
                        });
                    }
                }
                if let Some(retries) = &task.metadata.retries
                    && !(retries.backoff_multiplier.is_finite() && retries.backoff_multiplier >= 0.0)
                {
                    errors.push(BuildError::InvalidDuration {
                        node: self.id.to_string(),
                        reason: format!("the backoff multiplier {} is no growth", retries.backoff_multiplier),
                    });
                }
            }
            NodeSpec::Loop { .. } | NodeSpec::Child { .. } => {}
        }
    }
}

pub(super) fn check_name(name: &str, errors: &mut BuildErrors) {
    if name.is_empty() {
        errors.push(BuildError::InvalidName { name: name.to_owned(), reason: "a name must not be empty".to_owned() });
    } else if name.len() > 256 {
        errors.push(BuildError::InvalidName { name: name.to_owned(), reason: "a name has at most 256 bytes".to_owned() });
    } else if name.contains('\0') {
        errors.push(BuildError::InvalidName { name: name.to_owned(), reason: "a name must not contain a NUL character".to_owned() });
    }
}
