//! Compares what became of an instance with the reference.

use std::collections::{BTreeMap, BTreeSet};

use sayiir_core::journal::{EntryKind, JournalRow};
use sayiir_core::workflow::WorkflowStatus;
use sayiir_persistence::InstanceRecord;

use crate::build::Begun;
use crate::interpret::{Reference, Step};
use crate::spec::Control;

/// Says what is wrong with an instance that has ended.
///
/// # Errors
///
/// What differs from the reference.
pub fn judge(
    reference: &Reference,
    control: Control,
    record: &InstanceRecord,
    journal: &[JournalRow],
    begun: &[Begun],
) -> Result<(), String> {
    let steps: BTreeMap<&str, &Step> = begun.iter().map(|begun| (&*begun.path, &begun.step)).collect();
    let stored = stored_once(journal, &steps)?;
    let beyond: Vec<_> = stored.difference(&reference.steps).collect();
    if !beyond.is_empty() {
        return Err(format!("stored steps that the reference does not have: {beyond:?}"));
    }
    match &record.summary.status {
        WorkflowStatus::Completed => {
            let output = record.output.as_ref().and_then(|bytes| serde_json::from_slice::<u64>(bytes).ok());
            if reference.output.is_none() || output != reference.output {
                return Err(format!("completed with {output:?}, where the reference has {:?} {:?}", reference.output, reference.failures));
            }
            let missing: Vec<_> = reference.steps.difference(&stored).collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("completed without storing {missing:?}")) }
        }
        WorkflowStatus::Failed(error) => {
            let expected = reference.failures.iter().any(|failure| is_failure_of(error, failure, begun));
            if expected && reference.output.is_none() {
                return Ok(());
            }
            Err(format!("failed with {error:?}, where the reference has {:?} {:?}", reference.output, reference.failures))
        }
        WorkflowStatus::Cancelled { .. } if matches!(control, Control::Cancel(_)) => Ok(()),
        WorkflowStatus::Cancelled { .. }
        | WorkflowStatus::InProgress
        | WorkflowStatus::Paused { .. }
        | WorkflowStatus::Waiting { .. }
        | WorkflowStatus::AwaitingSignal { .. } => Err(format!("it stands at {:?}", record.summary.status)),
    }
}

/// The stored steps; each must be stored once.
fn stored_once(journal: &[JournalRow], steps: &BTreeMap<&str, &Step>) -> Result<BTreeSet<Step>, String> {
    let mut stored = BTreeSet::new();
    for row in results(journal) {
        let Some(step) = steps.get(&*row.node) else { return Err(format!("{} has a result but never ran", row.node)) };
        if !stored.insert((*step).clone()) {
            return Err(format!("the result of {} was stored twice", row.node));
        }
    }
    Ok(stored)
}

/// No task may begin after its result was stored.
///
/// # Errors
///
/// The first that did.
pub fn nothing_again(journal: &[JournalRow], begun: &[Begun]) -> Result<(), String> {
    let stored: BTreeMap<&str, _> = results(journal).map(|row| (&*row.node, row.at)).collect();
    match begun.iter().find(|begun| stored.get(&*begun.path).is_some_and(|at| *at < begun.at)) {
        Some(again) => Err(format!("{} ran again though its result was stored", again.path)),
        None => Ok(()),
    }
}

/// What was stored and what began, in order, a line each.
pub(crate) fn timeline(journal: &[JournalRow], begun: &[Begun]) -> String {
    let stored = journal.iter().map(|row| {
        (row.at, format!("{} {:?} of branch {} at revision {} by {:?}", row.node, row.kind, row.branch, row.revision, row.lease))
    });
    let mut lines: Vec<_> = stored.chain(begun.iter().map(|begun| (begun.at, format!("{} begins", begun.path)))).collect();
    lines.sort();
    let lines: Vec<_> = lines.iter().map(|(at, what)| format!("  {} {what}", at.as_micros())).collect();
    lines.join("\n")
}

pub(crate) fn results(journal: &[JournalRow]) -> impl Iterator<Item = &JournalRow> {
    journal.iter().filter(|row| {
        matches!(row.kind, EntryKind::TaskCompleted | EntryKind::JoinCompleted | EntryKind::RouteTaken | EntryKind::SubStepCompleted)
    })
}

fn is_failure_of(error: &str, failure: &str, begun: &[Begun]) -> bool {
    let of_task = error.ends_with(&format!("trouble in {failure}"));
    let timed_out = || begun.iter().any(|begun| begun.step.0 == failure && error.contains(&format!("{:?} took longer", &*begun.path)));
    let of_loop = || failure.starts_with('l') && error.contains(&format!("{failure}\" was not done"));
    let of_route = || failure.starts_with('"') && error.contains(&format!("the key {failure}"));
    of_task || timed_out() || of_loop() || of_route()
}
