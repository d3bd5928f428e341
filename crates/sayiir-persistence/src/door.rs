//! What every store checks before it writes: sizes, names, and that a call makes sense.
//!
//! A call that fails here has written nothing.

use std::collections::HashSet;

use bytes::Bytes;
use sayiir_core::attribute::{AttributeValue, SearchAttributes};
use sayiir_core::branch::{BranchId, Phase, Placement, RunNumber};
use sayiir_core::transition::{EventGuard, Next, Output, Transition};
use sayiir_core::validate_instance_id;

use crate::error::StoreError;
use crate::store::{
    AttributeFilter, AttributeTest, Definition, Import, ImportState, InstanceFilter, Limits, ListOrder, NewEvent, Rewind, StartRun,
};

fn limit(what: String, actual: usize, limit: usize) -> StoreError {
    StoreError::Limit { what, actual, limit }
}

/// Checks an instance id: 1 to 256 bytes, no NUL.
pub fn check_instance_id(id: &str) -> Result<(), StoreError> {
    validate_instance_id(id).map_err(|cause| StoreError::misused(cause.to_string()))
}

fn payload(limits: &Limits, bytes: &Bytes, what: impl FnOnce() -> String) -> Result<(), StoreError> {
    if bytes.len() > limits.payload_bytes { Err(limit(what(), bytes.len(), limits.payload_bytes)) } else { Ok(()) }
}

fn length(limits: &Limits, name: &str, what: impl FnOnce() -> String) -> Result<(), StoreError> {
    if name.len() > limits.name_bytes { Err(limit(what(), name.len(), limits.name_bytes)) } else { Ok(()) }
}

fn name(limits: &Limits, text: &str, what: &str, instance_id: &str) -> Result<(), StoreError> {
    length(limits, text, || format!("{what} of instance {instance_id:?}"))?;
    if text.contains('\0') {
        return Err(StoreError::misused(format!("{what} of instance {instance_id:?} must not contain a NUL character: {text:?}")));
    }
    Ok(())
}

fn placement(limits: &Limits, placement: &Placement, instance_id: &str) -> Result<(), StoreError> {
    let Placement { tags, priority: _ } = placement;
    tags.iter().try_for_each(|tag| name(limits, tag, "a tag", instance_id))
}

fn definition(limits: &Limits, definition: &Definition, instance_id: &str) -> Result<(), StoreError> {
    let Definition { hash: _, name: workflow, version, document } = definition;
    name(limits, workflow, "the workflow name", instance_id)?;
    name(limits, version, "the workflow version", instance_id)?;
    let document = document.as_deref().unwrap_or_default();
    if document.len() > limits.payload_bytes {
        return Err(limit(format!("the document of the definition of instance {instance_id:?}"), document.len(), limits.payload_bytes));
    }
    Ok(())
}

/// Checks a start.
pub fn check_start(limits: &Limits, request: &StartRun) -> Result<(), StoreError> {
    let id = &request.instance_id;
    check_instance_id(id)?;
    definition(limits, &request.definition, id)?;
    name(limits, &request.first_node, "the first node", id)?;
    placement(limits, &request.placement, id)?;
    if let Some(trace) = &request.trace {
        name(limits, trace, "the trace context", id)?;
    }
    attributes(limits, &request.attributes, || format!("instance {id:?}"))?;
    payload(limits, &request.input, || format!("the input of instance {id:?}"))
}

/// Checks what a task reports.
pub fn check_progress(limits: &Limits, run: RunNumber, branch: &BranchId, progress: &Bytes) -> Result<(), StoreError> {
    payload(limits, progress, || format!("the progress of branch {branch} of run {run}"))
}

/// Checks the search attributes that a task sets.
pub fn check_attributes(limits: &Limits, run: RunNumber, branch: &BranchId, set: &SearchAttributes) -> Result<(), StoreError> {
    attributes(limits, set, || format!("branch {branch} of run {run}"))
}

fn attributes(limits: &Limits, set: &SearchAttributes, of: impl Fn() -> String) -> Result<(), StoreError> {
    check_attribute_count(limits, set.len(), &of)?;
    for (name, value) in set {
        let text = if let AttributeValue::Text(text) = value { &**text } else { "" };
        if name.len() > limits.attribute_name_bytes {
            return Err(limit(format!("the name of a search attribute of {}", of()), name.len(), limits.attribute_name_bytes));
        }
        if text.len() > limits.attribute_bytes {
            return Err(limit(format!("the search attribute {name:?} of {}", of()), text.len(), limits.attribute_bytes));
        }
        if name.is_empty() || name.contains('\0') || text.contains('\0') {
            return Err(StoreError::misused(format!(
                "the search attribute {name:?} of {} must have a name, and a NUL character in neither name nor text",
                of()
            )));
        }
    }
    Ok(())
}

/// Checks how many search attributes an instance would have.
pub fn check_attribute_count(limits: &Limits, count: usize, of: impl Fn() -> String) -> Result<(), StoreError> {
    if count > limits.attributes {
        let reason = format!("{} would have {count} search attributes, the store accepts {}", of(), limits.attributes);
        return Err(StoreError::misused(reason));
    }
    Ok(())
}

/// Checks what a list is asked for.
pub fn check_filter(filter: &InstanceFilter) -> Result<(), StoreError> {
    let InstanceFilter {
        workflow: _,
        states: _,
        running: _,
        attributes,
        error_contains: _,
        created: _,
        updated: _,
        after,
        order,
        limit: _,
    } = filter;
    if after.is_some() && matches!(order, ListOrder::NewestFirst { .. }) {
        return Err(StoreError::misused(
            "the order by run has its pages by run, not by id: leave `after` out, and give `before`".to_owned(),
        ));
    }
    for AttributeFilter { name, test } in attributes {
        match test {
            AttributeTest::Is(_)
            | AttributeTest::AtLeast(AttributeValue::Integer(_) | AttributeValue::Time(_))
            | AttributeTest::AtMost(AttributeValue::Integer(_) | AttributeValue::Time(_)) => {}
            AttributeTest::AtLeast(value @ (AttributeValue::Text(_) | AttributeValue::Bool(_)))
            | AttributeTest::AtMost(value @ (AttributeValue::Text(_) | AttributeValue::Bool(_))) => {
                let reason = format!("the search attribute {name:?} is compared with {value:?}; only integers and times have an order");
                return Err(StoreError::misused(reason));
            }
        }
    }
    Ok(())
}

/// Checks a rewind.
pub fn check_rewind(limits: &Limits, rewind: &Rewind) -> Result<(), StoreError> {
    let Rewind { instance_id: id, expected: _, nonce: _, keep, node, input, placement: place, request: _ } = rewind;
    check_instance_id(id)?;
    name(limits, node, "the node", id)?;
    placement(limits, place, id)?;
    if *keep < 1 || !input.branch.is_root() || input.revision > *keep {
        return Err(StoreError::misused(format!(
            "a rewind of instance {id:?} keeps its first row, and its root's row that holds the input of {node:?}"
        )));
    }
    Ok(())
}

/// Checks an event that is to be sent.
pub fn check_event(limits: &Limits, event: &NewEvent) -> Result<(), StoreError> {
    let id = &event.instance_id;
    check_instance_id(id)?;
    if event.name.is_empty() {
        return Err(StoreError::misused(format!("an event for instance {id:?} must have a name")));
    }
    name(limits, &event.name, "the name of an event", id)?;
    if let Some(key) = &event.key {
        name(limits, key, "the key of an event", id)?;
    }
    payload(limits, &event.payload, || format!("event {:?} of instance {id:?}", event.name))
}

/// Checks an import.
pub fn check_import(limits: &Limits, import: &Import) -> Result<(), StoreError> {
    let id = &import.instance_id;
    check_instance_id(id)?;
    definition(limits, &import.definition, id)?;
    name(limits, &import.first_node, "the first node", id)?;
    placement(limits, &import.placement, id)?;
    payload(limits, &import.input, || format!("the input of instance {id:?}"))?;
    for (node, output) in &import.results {
        name(limits, node, "a node", id)?;
        payload(limits, output, || format!("the output of {node:?} of instance {id:?}"))?;
    }
    match &import.state {
        ImportState::Running { node, phase, awaits, due_at, paused: _ } => {
            name(limits, node, "a node", id)?;
            match phase {
                Phase::Start | Phase::At => Ok(()),
                Phase::Delaying if due_at.is_some() => Ok(()),
                Phase::Delaying => {
                    Err(StoreError::misused(format!("instance {id:?} cannot be put into the delay {node:?} without a time")))
                }
                Phase::Awaiting => match awaits {
                    Some(event) => name(limits, event, "the name of an event", id),
                    None => Err(StoreError::misused(format!("instance {id:?} cannot wait at {node:?} without the name of an event"))),
                },
                Phase::Joining => Err(StoreError::misused(format!("instance {id:?} cannot be imported inside the fork {node:?}"))),
            }
        }
        ImportState::Completed(output) => payload(limits, output, || format!("the output of instance {id:?}")),
        ImportState::Failed(error) => error_text(limits, error, || format!("the error of instance {id:?}")),
        ImportState::Cancelled(_) => Ok(()),
    }
}

fn error_text(limits: &Limits, text: &str, what: impl FnOnce() -> String) -> Result<(), StoreError> {
    if text.len() > limits.error_bytes { Err(limit(what(), text.len(), limits.error_bytes)) } else { Ok(()) }
}

/// Checks a batch of transitions: each one, and that no branch is in it twice.
pub fn check_commit(limits: &Limits, transitions: &[Transition]) -> Result<(), StoreError> {
    transitions.iter().try_for_each(|transition| check_transition(limits, transition))?;
    if transitions.len() > 1 {
        let mut seen = HashSet::with_capacity(transitions.len());
        if let Some(twice) = transitions.iter().find(|t| !seen.insert((t.run, &t.branch))) {
            return Err(StoreError::misused(format!(
                "a batch holds two transitions of branch {} of instance {:?}",
                twice.branch, twice.instance_id
            )));
        }
    }
    Ok(())
}

fn check_transition(limits: &Limits, transition: &Transition) -> Result<(), StoreError> {
    let Transition { instance_id, run: _, branch, revision: _, entry, guard, held: _, next } = transition;
    let wrong = |what: &str| Err(StoreError::misused(format!("{what} (branch {branch} of instance {instance_id:?})")));
    if let Some(entry) = entry {
        length(limits, &entry.node, || format!("the path of a node of instance {instance_id:?}"))?;
        let what = || format!("the output of {:?} of instance {instance_id:?}", entry.node);
        match &entry.output {
            Output::Nothing | Output::SameAs(_) => {}
            Output::Value(bytes) => payload(limits, bytes, what)?,
            Output::Wrapped { own, handed_on } => {
                payload(limits, own, what)?;
                payload(limits, handed_on, what)?;
            }
        }
        if let Some(error) = &entry.error {
            error_text(limits, error, || format!("the error of {:?} of instance {instance_id:?}", entry.node))?;
        }
    }
    let head = match next {
        Next::Run { head } | Next::Fail { head } => Some(head),
        Next::Release { head, wake: _, placement: place } => {
            placement(limits, place, instance_id)?;
            Some(head)
        }
        Next::Await { head, signal, wake: _, placement: place } => {
            placement(limits, place, instance_id)?;
            name(limits, signal, "the name of an event", instance_id)?;
            if head.phase != Phase::Awaiting || !matches!(guard, EventGuard::NoneSince { .. }) {
                return wrong("parking on an event needs the phase Awaiting and the mail that was seen");
            }
            Some(head)
        }
        Next::Fork { head, children, keep } => {
            if children.is_empty() || *keep > children.len() || head.phase != Phase::Joining {
                return wrong("a fork needs children, keeps at most as many, and leaves its parent in the phase Joining");
            }
            for child in children {
                placement(limits, &child.placement, instance_id)?;
                length(limits, &child.head.node, || format!("the path of a node of instance {instance_id:?}"))?;
            }
            Some(head)
        }
        Next::EndBranch if branch.is_root() => return wrong("the root branch ends by finishing the run"),
        Next::Finish if !branch.is_root() => return wrong("only the root branch finishes the run"),
        Next::EndBranch | Next::Finish => None,
    };
    if let Some(head) = head {
        length(limits, &head.node, || format!("the path of a node of instance {instance_id:?}"))?;
    }
    if entry.is_none() && !matches!(next, Next::Release { .. } | Next::Await { .. }) {
        return wrong("only a branch that is handed back has no journal row");
    }
    Ok(())
}
