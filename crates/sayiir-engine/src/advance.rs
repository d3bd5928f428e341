//! Where a branch goes when a node is done: out of loops, routes and children, and on to the next node.

use sayiir_core::LoopResult;
use sayiir_core::MaxIterationsPolicy;
use sayiir_core::error::{BoxError, WorkflowError, error_chain};
use sayiir_core::plan::{Container, NodeIx, NodeSpec, Place};

use crate::value::Value;
use crate::words::Definition;

/// Where a branch goes.
pub(crate) enum Destination {
    /// To this node, which does something itself.
    Node(Place),
    /// Nowhere: a child branch ends.
    EndOfBranch,
    /// Nowhere: the workflow ends.
    EndOfWorkflow,
}

impl Definition<'_> {
    /// Leaves the node at `place` with `value`.
    ///
    /// The error is a text that names the node at fault. Each turn leaves a container, so the walk ends.
    pub(crate) fn leave(&self, mut place: Place, mut value: Value) -> Result<(Destination, Value), String> {
        loop {
            let node = self.plan.node(place.node);
            if let Some(next) = node.next {
                place.node = next;
                return Ok((Destination::Node(place.enter(self.plan)), value));
            }
            match node.container {
                None => return Ok((Destination::EndOfWorkflow, value)),
                Some(Container::Branch { fork: _, index: _ }) => return Ok((Destination::EndOfBranch, value)),
                Some(Container::Child { child }) => place.node = child,
                Some(Container::Arm { route, index }) => {
                    let key = self.arm_key(route, index);
                    value = self.envelope(&mut place, route, &key, value)?;
                }
                Some(Container::DefaultArm { route }) => {
                    let key = place.slots.pop().unwrap_or_default();
                    value = self.envelope(&mut place, route, &key, value)?;
                }
                Some(Container::Body { repeat }) => match self.leave_body(place, repeat, value)? {
                    Body::Again(place, value) => return Ok((Destination::Node(place.enter(self.plan)), value)),
                    Body::Left(outside, inner) => (place, value) = (outside, inner),
                },
            }
        }
    }

    fn arm_key(&self, route: NodeIx, index: usize) -> String {
        match &self.plan.node(route).spec {
            NodeSpec::Route { arms, key: _, default: _ } => arms.get(index).map(|arm| arm.key.to_string()).unwrap_or_default(),
            NodeSpec::Task(_)
            | NodeSpec::Fork { .. }
            | NodeSpec::Loop { .. }
            | NodeSpec::Delay { .. }
            | NodeSpec::Signal { .. }
            | NodeSpec::Child { .. } => String::new(),
        }
    }

    fn envelope(&self, place: &mut Place, route: NodeIx, key: &str, value: Value) -> Result<Value, String> {
        let wrapped = self
            .payloads
            .route_envelope(route, key, value.bytes())
            .map_err(|error| self.fault(route, "what the branch gave cannot be handed on", &error))?;
        place.node = route;
        Ok(value.wrapped(wrapped))
    }

    fn leave_body(&self, mut place: Place, repeat: NodeIx, value: Value) -> Result<Body, String> {
        let NodeSpec::Loop { first, max_iterations, on_max } = &self.plan.node(repeat).spec else {
            return Err(format!("{:?} is no loop", self.plan.node(repeat).path));
        };
        let iteration: u32 = place.slots.pop().and_then(|slot| slot.parse().ok()).unwrap_or(0);
        let result = self
            .payloads
            .loop_result(repeat, value.bytes())
            .map_err(|error| self.fault(repeat, "what the loop's body gave is no loop result", &error))?;
        place.node = repeat;
        match result {
            LoopResult::Again(bytes) if iteration.saturating_add(1) < *max_iterations => {
                place.node = *first;
                place.slots.push((iteration + 1).to_string());
                Ok(Body::Again(place, value.wrapped(bytes)))
            }
            LoopResult::Again(bytes) => match on_max {
                MaxIterationsPolicy::ExitWithLast => Ok(Body::Left(place, value.wrapped(bytes))),
                MaxIterationsPolicy::Fail => {
                    let loop_id = self.plan.node(repeat).path.to_string();
                    Err(WorkflowError::MaxIterationsExceeded { loop_id, max_iterations: *max_iterations }.to_string())
                }
            },
            LoopResult::Done(bytes) => Ok(Body::Left(place, value.wrapped(bytes))),
        }
    }

    /// The text of an error in a payload at `node`.
    pub(crate) fn fault(&self, node: NodeIx, what: &str, error: &BoxError) -> String {
        format!("{}: {what}: {}", self.plan.node(node).path, error_chain(&**error))
    }
}

enum Body {
    Again(Place, Value),
    Left(Place, Value),
}
