//! Import of a snapshot: the root branch is put where the snapshot says, in one transition of the whole instance.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::branch::{BranchId, JournalRef, LeaseId, RunNumber};
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::journal::EntryKind;
use sayiir_core::time::Timestamp;
use sayiir_persistence::rows::NewRow;
use sayiir_persistence::{Import, ImportOutcome, Landing, RunState};

use crate::fault::{Fault, Outcome};
use crate::ops::heads::{self, Holds, Place};
use crate::ops::journal;
use crate::ops::{control, lanes, queries, start};
use crate::rows::{Col, InstanceRow, Stage, branch_id, col, find_branch, find_instance, instance_of};
use crate::tx::{Tx, execute, first, rows};

pub(crate) fn import(tx: &mut Tx, import: &Import) -> Outcome<ImportOutcome> {
    let known = find_instance(&tx.conn, &import.instance_id)?;
    let running = known.as_ref().filter(|instance| instance.stage != Stage::MailOnly);
    let run = if let Some(instance) = running {
        if let Some(refusal) = refusal(tx, instance, import)? {
            return Ok(refusal);
        }
        instance.run
    } else if import.expected.is_some() {
        return Ok(ImportOutcome::Moved { revision: 0 });
    } else {
        start::begin(tx, known.as_ref(), &import.as_start(), None)?
    };
    put(tx, run, import)?;
    tx.news.due = true;
    tx.news.control = true;
    tx.news.instance(&import.instance_id);
    Ok(ImportOutcome::Imported)
}

fn refusal(tx: &Tx, instance: &InstanceRow, import: &Import) -> Outcome<Option<ImportOutcome>> {
    let found = instance.definition.hash;
    if found != import.definition.hash {
        return Ok(Some(ImportOutcome::DefinitionMismatch { found }));
    }
    if !instance.is_live() {
        return Ok(Some(ImportOutcome::Finished(queries::status(tx.look(), instance)?)));
    }
    let sql = "SELECT lease FROM branch WHERE run = ?1 AND lease IS NOT NULL AND (run_at IS NULL OR run_at > ?2) LIMIT 1";
    let held: Option<LeaseId> = first(&tx.conn, sql, (Col(instance.run), Col(tx.now)), |row| col(row, "lease"))?;
    let root = find_branch(&tx.conn, instance.run, &BranchId::root())?;
    Ok(import.refusal(instance.run, held.is_some(), root.as_ref().map(|root| (root.revision, &root.head))))
}

fn put(tx: &mut Tx, run: RunNumber, import: &Import) -> Outcome<()> {
    let Import { instance_id: _, definition, input: _, results, state: _, first_node: _, placement, expected: _ } = import;
    let root = BranchId::root();
    let old = find_branch(&tx.conn, run, &root)?.ok_or_else(|| Fault::corrupt(format!("run {run} has no root branch")))?;
    let at = heads::control_time(tx, run)?.max(tx.now);
    heads::delete_all(tx, run)?;
    let mut revision = old.revision;
    let input = import_results(tx, run, &mut revision, at, results)?;
    revision += 1;
    let definition = lanes::definition(tx, definition)?;
    let lane = lanes::lane(tx, definition, placement)?;
    let Landing { node, same_as, output, error, head, awaits, due_at, state, request } =
        import.landing((&old.head.node, old.head.phase), &input);
    let row = NewRow::bare(run, &root, revision, EntryKind::Imported, node, at);
    let (output, error) = (output.map(AsRef::as_ref), error.as_deref());
    journal::insert(tx, NewRow { same_as: same_as.as_ref(), output, error, ..row })?;
    if let Some(head) = &head {
        // Of a run that goes on one revision less: deriving when it is due moves it on.
        let (branch, revision) = (&root, if state.is_live() { revision - 1 } else { revision });
        let (lease, run_at, awaits, pending, priority) = (None, None, awaits.map(AsRef::as_ref), 0, placement.priority);
        Place { run, branch, revision, head, lease, run_at, due_at, awaits, pending, lane, priority, moved_at: at }.insert(tx)?;
    }
    let request = request.map(|request| control::stamped(request, tx.now));
    match state {
        RunState::Running | RunState::Paused => hold(tx, run, request.as_ref(), at),
        RunState::Completed | RunState::Failed => end(tx, run, state, revision),
        RunState::Cancelled => {
            control::record(tx, run, SignalKind::Cancel, request.as_ref())?;
            control::enter(tx, run, state, request.as_ref())
        }
    }
}

/// Puts a going run into its state, and derives when its root is due.
fn hold(tx: &Tx, run: RunNumber, request: Option<&SignalRequest>, at: Timestamp) -> Outcome<()> {
    let before = instance_of(&tx.conn, run)?.ok_or_else(|| Fault::corrupt(format!("run {run} has no instance")))?;
    if request.is_some() || before.is_paused() {
        control::record(tx, run, SignalKind::Pause, request)?;
    }
    let state = if request.is_some() { RunState::Paused } else { RunState::Running };
    control::enter(tx, run, state, request)?;
    let after = instance_of(&tx.conn, run)?;
    let requested = after.is_some_and(|after| after.requested().is_some());
    heads::move_all(tx, run, Holds { requested, paused: request.is_some() }, at)
}

fn end(tx: &Tx, run: RunNumber, state: RunState, revision: u64) -> Outcome<()> {
    control::enter(tx, run, state, None)?;
    let sql = "UPDATE instance SET end_branch = ?2, end_revision = ?3 WHERE run = ?1";
    execute(&tx.conn, sql, (Col(run), BranchId::root().as_str(), revision))?;
    Ok(())
}

/// Journals the results that the journal lacks; says which row holds the last one (else the instance's input).
fn import_results(tx: &Tx, run: RunNumber, revision: &mut u64, at: Timestamp, results: &[(Arc<str>, Bytes)]) -> Outcome<JournalRef> {
    let root = BranchId::root();
    let sql =
        "SELECT kind, branch, revision FROM journal WHERE run = ?1 AND node = ?2 AND output IS NOT NULL ORDER BY at, branch, revision";
    let mut input = JournalRef::instance_input();
    for (node, output) in results {
        let known = rows(&tx.conn, sql, (Col(run), node), |row| {
            let kind: EntryKind = col(row, "kind")?;
            Ok((kind, JournalRef { branch: branch_id(row, "branch")?, revision: row.get("revision")? }))
        })?;
        let known = known.into_iter().find(|(kind, _)| kind.is_result()).map(|(_, row)| row);
        input = if let Some(row) = known {
            row
        } else {
            *revision += 1;
            let row = NewRow::bare(run, &root, *revision, EntryKind::TaskCompleted, node, at);
            journal::insert(tx, NewRow { output: Some(output), attempt: 1, ..row })?;
            JournalRef { branch: root.clone(), revision: *revision }
        };
    }
    Ok(input)
}
