//! Commit: each transition is checked whole, then written whole, or refused with a reason. A refusal has written nothing.

use std::time::Duration;

use sayiir_core::branch::{BranchId, Head, JournalRef, LeaseId, Phase, Placement};
use sayiir_core::time::Timestamp;
use sayiir_core::transition::{Child, EventGuard, Next, Transition, Wake};
use sayiir_persistence::meet::refused;
use sayiir_persistence::rows::NewRow;
use sayiir_persistence::{BranchView, CommitOutcome, RunState};

use crate::fault::{Fault, Outcome};
use crate::ops::heads::{self, Place};
use crate::ops::journal;
use crate::ops::{lanes, sessions, views};
use crate::rows::{BranchRow, Col, Stage, branch_row, find_branch, find_instance, head_columns};
use crate::tx::{Tx, execute, first};

/// Applies transitions that the door has let in, in order.
pub(crate) fn all(tx: &mut Tx, lease: LeaseId, transitions: &[Transition]) -> Outcome<Vec<CommitOutcome>> {
    transitions.iter().map(|transition| one(tx, lease, transition)).collect()
}

fn one(tx: &mut Tx, lease: LeaseId, transition: &Transition) -> Outcome<CommitOutcome> {
    if let Some(outcome) = plain(tx, lease, transition)? {
        return Ok(outcome);
    }
    if let Some(outcome) = finish(tx, lease, transition)? {
        return Ok(outcome);
    }
    let row = find_branch(&tx.conn, transition.run, &transition.branch)?;
    let owned = row.filter(|row| row.lease == Some(lease) && row.revision == transition.revision);
    let Some(row) = owned else { return refusal(tx, lease, transition) };
    if !instance_allows(tx, transition)? {
        return refusal(tx, lease, transition);
    }
    if let EventGuard::Use { name, seq } = &transition.guard {
        execute(&tx.conn, "DELETE FROM event WHERE run = ?1 AND name = ?2 AND seq = ?3", (Col(transition.run), name, seq))?;
    }
    let write = Write { lease, transition, at: tx.now.max(row.moved_at), revision: transition.revision + 1, row };
    write.journal(tx)?;
    let readied_parent = write.apply(tx)?;
    Ok(CommitOutcome::Accepted { at: write.at, readied_parent: readied_parent.map(Box::new) })
}

/// The common case in two statements: the owner goes straight on, and nothing else is asked. `None` if it is not that case.
fn plain(tx: &Tx, lease: LeaseId, transition: &Transition) -> Outcome<Option<CommitOutcome>> {
    let Transition {
        instance_id: _,
        run,
        branch,
        revision,
        entry: Some(entry),
        guard: EventGuard::None,
        held: _,
        next: Next::Run { head },
    } = transition
    else {
        return Ok(None);
    };
    let Some(at) = heads::advance(tx, lease, transition, head)? else { return Ok(None) };
    journal::insert(tx, NewRow::of_entry(*run, branch, revision + 1, lease, entry, at))?;
    Ok(Some(CommitOutcome::Accepted { at, readied_parent: None }))
}

/// The end of a run in three statements, the first of which looks at everything. `None` if it is not that case.
fn finish(tx: &mut Tx, lease: LeaseId, transition: &Transition) -> Outcome<Option<CommitOutcome>> {
    let Transition { instance_id, run, branch, revision, entry: Some(entry), guard: EventGuard::None, held: _, next: Next::Finish } =
        transition
    else {
        return Ok(None);
    };
    let sql = "UPDATE instance SET status = 2, paused = 0, end_branch = ?3, end_revision = ?4 + 1, updated_at = ?6, \
               request_reason = NULL, request_by = NULL, request_at = NULL \
               WHERE run = ?1 AND instance_id = ?2 AND status = 1 \
               AND EXISTS (SELECT 1 FROM branch WHERE run = ?1 AND branch = ?3 AND revision = ?4 AND lease = ?5) \
               RETURNING (SELECT moved_at FROM branch WHERE run = ?1 AND branch = ?3)";
    let params = (Col(*run), instance_id, branch.as_str(), revision, Col(lease), Col(tx.now));
    let Some(Col(moved_at)) = first(&tx.conn, sql, params, |row| row.get::<_, Col<Timestamp>>(0))? else { return Ok(None) };
    let at = tx.now.max(moved_at);
    heads::delete_all(tx, *run)?;
    journal::insert(tx, NewRow::of_entry(*run, branch, revision + 1, lease, entry, at))?;
    tx.news.instance(instance_id);
    Ok(Some(CommitOutcome::Accepted { at, readied_parent: None }))
}

/// Whether the instance's state and events are as the transition requires. Plain advances require nothing:
/// whatever ends or controls a run takes its heads, their leases or their revisions.
fn instance_allows(tx: &Tx, transition: &Transition) -> Outcome<bool> {
    let needs_live = match &transition.next {
        Next::Run { .. } | Next::Release { .. } | Next::EndBranch => false,
        Next::Await { .. } | Next::Fork { .. } | Next::Finish | Next::Fail { .. } => true,
    };
    if !needs_live && transition.guard == EventGuard::None {
        return Ok(true);
    }
    let instance = find_instance(&tx.conn, &transition.instance_id)?;
    let Some(instance) = instance.filter(|instance| instance.run == transition.run && instance.is_live()) else { return Ok(false) };
    match &transition.guard {
        EventGuard::None => Ok(true),
        EventGuard::NoneSince { mail } => Ok(instance.mail == *mail),
        EventGuard::Use { name, seq } => {
            let sql = "SELECT 1 FROM event WHERE run = ?1 AND name = ?2 AND seq = ?3";
            Ok(first(&tx.conn, sql, (Col(transition.run), name, seq), |_| Ok(()))?.is_some())
        }
    }
}

/// Why not; unless it was applied already.
fn refusal(tx: &Tx, lease: LeaseId, transition: &Transition) -> Outcome<CommitOutcome> {
    let Transition { instance_id, run, branch, revision, entry: _, guard: _, held: _, next: _ } = transition;
    let wrote = journal::wrote(tx, lease, *run, branch, revision + 1)?;
    let instance = find_instance(&tx.conn, instance_id)?.filter(|instance| instance.run == *run);
    let goes_on = instance.and_then(|instance| instance.state()).map(RunState::is_live);
    let held = find_branch(&tx.conn, *run, branch)?.is_some_and(|row| row.lease == Some(lease));
    Ok(refused(wrote, goes_on, held))
}

/// An allowed transition on its way into the tables.
struct Write<'a> {
    lease: LeaseId,
    transition: &'a Transition,
    /// The branch as it was.
    row: BranchRow,
    /// The revision it gets.
    revision: u64,
    /// The time of its journal row: never before a row that it follows from.
    at: Timestamp,
}

impl Write<'_> {
    fn journal(&self, tx: &Tx) -> Outcome<()> {
        let Transition { instance_id: _, run, branch, revision: _, entry, guard: _, held: _, next: _ } = self.transition;
        entry
            .as_ref()
            .map_or(Ok(()), |entry| journal::insert(tx, NewRow::of_entry(*run, branch, self.revision, self.lease, entry, self.at)))
    }

    fn apply(&self, tx: &mut Tx) -> Outcome<Option<BranchView>> {
        let (held, instance_id) = (self.transition.held, &self.transition.instance_id);
        match &self.transition.next {
            Next::Run { head } => {
                let BranchRow { run_at, .. } = self.row;
                Place { lease: Some(self.lease), run_at, pending: self.row.pending, ..self.at_rest(head) }.update(tx)?;
            }
            Next::Release { head, wake, placement } => {
                self.release(tx, head, *wake, placement)?;
                tx.news.due |= !held;
                tx.news.instance(instance_id);
            }
            Next::Await { head, signal, wake, placement } => {
                self.park(tx, head, signal, *wake, placement)?;
                tx.news.due |= !held;
                tx.news.instance(instance_id);
            }
            Next::Fork { head, children, keep } => {
                self.fork(tx, head, children, *keep)?;
                tx.news.due |= !held && *keep < children.len();
            }
            Next::EndBranch => return self.end_branch(tx),
            Next::Finish => {
                heads::delete_all(tx, self.row.run)?;
                self.end_run(tx, RunState::Completed)?;
            }
            Next::Fail { head } => {
                self.fail(tx, head)?;
                self.end_run(tx, RunState::Failed)?;
                tx.news.control = true;
            }
        }
        Ok(None)
    }

    /// The branch at a new head: free, not due, in the lane and with the priority it has.
    fn at_rest<'a>(&'a self, head: &'a Head) -> Place<'a> {
        let BranchRow { run, branch, lane, priority, .. } = &self.row;
        let (lease, run_at, due_at, awaits, pending) = (None, None, None, None, 0);
        let (run, lane, priority, revision, moved_at) = (*run, *lane, *priority, self.revision, self.at);
        Place { run, branch, revision, head, lease, run_at, due_at, awaits, pending, lane, priority, moved_at }
    }

    fn due_at(&self, tx: &Tx, wake: Wake) -> Option<Timestamp> {
        match wake {
            Wake::Now => Some(tx.now),
            Wake::After(delay) => Some(tx.now + delay),
            Wake::AsStored => self.row.due_at,
        }
    }

    fn release(&self, tx: &mut Tx, head: &Head, wake: Wake, placement: &Placement) -> Outcome<()> {
        let due_at = self.due_at(tx, wake);
        // A branch that is handed back while it awaits an event goes on awaiting it.
        let awaits = if head.phase == Phase::Awaiting { self.row.awaits.as_deref() } else { None };
        let mail = awaits.map_or(Ok(false), |name| heads::has_event(tx.look(), self.row.run, name))?;
        let run_at = match (self.transition.held || self.row.pending > 0, mail) {
            (true, _) => None,
            (false, true) => Some(tx.now),
            // What waits for an event has no time of its own; what is ready is due at once.
            (false, false) => due_at.or(awaits.is_none().then_some(tx.now)),
        };
        let (lane, priority, pending) = (lanes::beside(tx, self.row.lane, placement)?, placement.priority, self.row.pending);
        Place { run_at, due_at, awaits, pending, lane, priority, ..self.at_rest(head) }.update(tx)
    }

    fn park(&self, tx: &mut Tx, head: &Head, signal: &str, wake: Option<Wake>, placement: &Placement) -> Outcome<()> {
        let due_at = wake.and_then(|wake| self.due_at(tx, wake));
        let run_at = match (self.transition.held, heads::has_event(tx.look(), self.row.run, signal)?) {
            (true, _) => None,
            (false, true) => Some(tx.now),
            (false, false) => due_at,
        };
        let (lane, priority) = (lanes::beside(tx, self.row.lane, placement)?, placement.priority);
        Place { run_at, due_at, awaits: Some(signal), lane, priority, ..self.at_rest(head) }.update(tx)
    }

    fn fork(&self, tx: &mut Tx, head: &Head, children: &[Child], keep: usize) -> Outcome<()> {
        let lease_end = self.lease_end(tx)?;
        let pending = u32::try_from(children.len()).map_err(|_| Fault::misused("a fork has more children than can be counted"))?;
        Place { pending, ..self.at_rest(head) }.update(tx)?;
        for (number, Child { head, placement }) in children.iter().enumerate() {
            let (run_at, lease) = match (self.transition.held, number < keep) {
                (true, _) => (None, None),
                (false, true) => (Some(lease_end), Some(self.lease)),
                (false, false) => (Some(tx.now), None),
            };
            let lane = lanes::beside(tx, self.row.lane, placement)?;
            let branch = &self.row.branch.child(self.revision, number);
            let (run, revision, due_at, awaits, pending) = (self.row.run, 1, Some(tx.now), None, 0);
            let (priority, moved_at) = (placement.priority, self.at);
            Place { run, branch, revision, head, lease, run_at, due_at, awaits, pending, lane, priority, moved_at }.insert(tx)?;
        }
        Ok(())
    }

    fn lease_end(&self, tx: &mut Tx) -> Outcome<Timestamp> {
        let ttl: Duration = sessions::ttl(tx, self.lease)?;
        Ok(tx.now + ttl)
    }

    /// The count falls in the store, never by a value that was read.
    fn end_branch(&self, tx: &mut Tx) -> Outcome<Option<BranchView>> {
        let BranchRow { run, branch, .. } = &self.row;
        heads::delete(tx, *run, branch)?;
        let parent = branch.parent().ok_or_else(|| Fault::misused("the root branch ends by finishing the run"))?;
        let sql = "UPDATE branch SET pending = pending - 1, moved_at = max(moved_at, ?3) \
                   WHERE run = ?1 AND branch = ?2 AND pending > 0 RETURNING pending";
        let behind = self.at + Duration::from_micros(1);
        let left: Option<u32> = first(&tx.conn, sql, (Col(*run), parent.as_str(), Col(behind)), |row| row.get(0))?;
        match left {
            None => Err(Fault::corrupt(format!("branch {parent} of run {run} does not wait for its child {branch}"))),
            Some(0) => self.ready(tx, &parent),
            Some(_) => Ok(None),
        }
    }

    /// Readies a parent whose children have all ended, leased to the writer unless the run is held.
    fn ready(&self, tx: &mut Tx, parent: &BranchId) -> Outcome<Option<BranchView>> {
        let lease_end = self.lease_end(tx)?;
        let (lease, run_at) = if self.transition.held { (None, None) } else { (Some(self.lease), Some(lease_end)) };
        let sql = concat!(
            "UPDATE branch SET revision = revision + 1, due_at = ?3, attempt_at = ?3, progress = NULL, progress_at = NULL, lease = ?4, run_at = ?5 WHERE run = ?1 AND branch = ?2 RETURNING ",
            head_columns!()
        );
        let params = (Col(self.row.run), parent.as_str(), Col(tx.now), lease.map(Col), run_at.map(Col));
        let row = first(&tx.conn, sql, params, branch_row)?;
        row.filter(|_| !self.transition.held).map(|row| views::of_row(tx.look(), row)).transpose()
    }

    fn fail(&self, tx: &Tx, head: &Head) -> Outcome<()> {
        let sql = "UPDATE branch SET revision = revision + 1, lease = NULL, run_at = NULL WHERE run = ?1";
        execute(&tx.conn, sql, [Col(self.row.run)])?;
        self.at_rest(head).update(tx)
    }

    fn end_run(&self, tx: &mut Tx, state: RunState) -> Outcome<()> {
        let JournalRef { branch, revision } = JournalRef { branch: self.row.branch.clone(), revision: self.revision };
        let sql = "UPDATE instance SET status = ?2, paused = 0, end_branch = ?3, end_revision = ?4, updated_at = ?5, \
                   request_reason = NULL, request_by = NULL, request_at = NULL WHERE run = ?1";
        execute(&tx.conn, sql, (Col(self.row.run), Stage::code(state), branch.as_str(), revision, Col(tx.now)))?;
        tx.news.instance(&self.transition.instance_id);
        Ok(())
    }
}
