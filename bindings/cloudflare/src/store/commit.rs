//! Commit: a transition is one transaction, whose guard names what it needs. A refusal has written nothing.

use bytes::Bytes;
use sayiir_core::branch::{Head, LeaseId, Phase, Placement};
use sayiir_core::time::Timestamp;
use sayiir_core::transition::{Child, Entry, EventGuard, Next, Transition, Wake};
use sayiir_persistence::{BranchView, CommitOutcome, Refusal, StoreError};
use serde::Serialize;

use super::fault::{Fault, Outcome};
use super::rows::{tags_text, view, views};
use super::sessions::DEFAULT_TTL;
use super::{Answers, SqlStore};
use crate::sql::{Row, Statement, Value, statement};

/// Ends the transaction unless the branch is as its owner saw it, and what else the transition needs is so.
const GUARD: &str = "INSERT INTO sayiir_guard SELECT why FROM (SELECT CASE \
     WHEN NOT EXISTS (SELECT 1 FROM sayiir_branch WHERE run = ?1 AND branch = ?2 AND revision = ?3 AND lease = ?4) THEN 'moved' \
     WHEN ?5 AND NOT EXISTS (SELECT 1 FROM sayiir_instance WHERE run = ?1 AND instance_id = ?6 AND status = 1 \
     AND mail = coalesce(?7, mail)) THEN 'ended' \
     WHEN ?8 IS NOT NULL AND NOT EXISTS (SELECT 1 FROM sayiir_event WHERE run = ?1 AND name = ?8 AND seq = ?9) THEN 'event' \
     WHEN ?10 IS NOT NULL AND NOT EXISTS (SELECT 1 FROM sayiir_branch WHERE run = ?1 AND branch = ?10 AND pending > 0) THEN 'parent' \
     END AS why) WHERE why IS NOT NULL";

/// An owner's plain step: nothing else is asked, and no column of an index is named.
const ADVANCE: &str = "UPDATE sayiir_branch SET revision = revision + 1, node = ?5, phase = ?6, attempt = ?7, input_branch = ?8, \
     input_revision = ?9, fork_revision = ?10, due_at = NULL, crashes = 0, moved_at = max(moved_at, ?11), \
     attempt_at = CASE WHEN node = ?5 AND phase = ?6 AND attempt = ?7 THEN attempt_at ELSE ?11 END, \
     progress = CASE WHEN node = ?5 AND phase = ?6 AND attempt = ?7 THEN progress END, \
     progress_at = CASE WHEN node = ?5 AND phase = ?6 AND attempt = ?7 THEN progress_at END \
     WHERE run = ?1 AND branch = ?2 AND revision = ?3 AND lease = ?4 AND awaits IS NULL RETURNING moved_at";

/// A row of the journal, if the branch is as its owner saw it. `?` follows for a plain step.
macro_rules! journal {
    ($plain:literal) => {
        concat!(
            "INSERT INTO sayiir_journal (run, branch, revision, at, lease, kind, attempt, node, same_branch, same_revision, output, \
             handed_on, error) SELECT run, branch, revision + 1, max(moved_at, ?5), lease, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13 \
             FROM sayiir_branch WHERE run = ?1 AND branch = ?2 AND revision = ?3 AND lease = ?4",
            $plain,
            " RETURNING at"
        )
    };
}

/// The lane of other tags beside the branch's own: the same definition.
const LANE: &str = "(SELECT other.id FROM sayiir_lane own JOIN sayiir_lane other ON other.definition = own.definition AND other.tags = ?4 \
     WHERE own.id = sayiir_branch.lane)";

const NEW_LANES: &str = "INSERT OR IGNORE INTO sayiir_lane (definition, tags) SELECT l.definition, t.value FROM sayiir_branch b \
     JOIN sayiir_lane l ON l.id = b.lane, json_each(?3) t WHERE b.run = ?1 AND b.branch = ?2";

/// So many children are made by one statement.
const CHILDREN: usize = 1000;

impl SqlStore {
    pub(super) async fn commit_all(self, lease: LeaseId, transitions: Vec<Transition>) -> Outcome<Vec<CommitOutcome>> {
        let mut outcomes = Vec::with_capacity(transitions.len());
        for transition in &transitions {
            outcomes.push(self.commit_one(lease, transition).await?);
        }
        Ok(outcomes)
    }

    async fn commit_one(&self, lease: LeaseId, transition: &Transition) -> Outcome<CommitOutcome> {
        let write = Write { lease, transition, now: self.now() };
        if let Some(statements) = write.plain() {
            let mut answers = self.batch(statements).await?;
            match answers.first()? {
                Some(row) => return accepted(&row, None),
                // Perhaps only since it awaited an event, which a plain step does not look at.
                None => match self.refusal(lease, transition).await? {
                    CommitOutcome::Refused(Refusal::Moved) => {}
                    outcome @ (CommitOutcome::Accepted { .. } | CommitOutcome::AlreadyAccepted | CommitOutcome::Refused(_)) => {
                        return Ok(outcome);
                    }
                },
            }
        }
        match self.batch(write.guarded()?).await {
            Ok(answers) => {
                let outcome = write.outcome(answers)?;
                self.tell(transition);
                Ok(outcome)
            }
            Err(Fault::Guard(why)) if why == "parent" => Err(Fault::corrupt(format!(
                "branch {} of run {} ends, but its parent does not wait for it",
                transition.branch, transition.run
            ))),
            Err(Fault::Guard(_)) => self.refusal(lease, transition).await,
            Err(fault) => Err(fault),
        }
    }

    fn tell(&self, transition: &Transition) {
        let (wakeups, held, id) = (self.wakeups(), transition.held, &transition.instance_id);
        match &transition.next {
            Next::Run { .. } | Next::EndBranch => {}
            Next::Release { .. } | Next::Await { .. } => {
                if !held {
                    wakeups.announce_due();
                }
                wakeups.announce_instance(id);
            }
            Next::Fork { head: _, children, keep } => {
                if !held && *keep < children.len() {
                    wakeups.announce_due();
                }
            }
            Next::Finish => wakeups.announce_instance(id),
            Next::Fail { .. } => {
                wakeups.announce_control();
                wakeups.announce_instance(id);
            }
        }
    }
}

fn accepted(row: &Row, readied_parent: Option<BranchView>) -> Outcome<CommitOutcome> {
    Ok(CommitOutcome::Accepted { at: row.columns().take()?, readied_parent: readied_parent.map(Box::new) })
}

/// A transition on its way into the tables.
struct Write<'a> {
    lease: LeaseId,
    transition: &'a Transition,
    now: Timestamp,
}

/// A child as the statement that makes it reads it.
#[derive(Serialize)]
struct NewChild<'a> {
    id: String,
    node: &'a str,
    phase: u8,
    attempt: u32,
    input_branch: &'a str,
    input_revision: u64,
    fork_revision: u64,
    tags: String,
    priority: u8,
    kept: u8,
}

impl Write<'_> {
    /// The common case in two statements, each of which looks by itself at the branch: both do something or none does.
    fn plain(&self) -> Option<Vec<Statement>> {
        let Transition { entry: Some(entry), guard: EventGuard::None, next: Next::Run { head }, .. } = self.transition else { return None };
        Some(vec![self.journal(journal!(" AND awaits IS NULL"), entry), self.advance(head)])
    }

    fn advance(&self, head: &Head) -> Statement {
        let (Transition { run, branch, revision, .. }, lease) = (self.transition, self.lease);
        let Head { node, phase, attempt, input, fork_revision } = head;
        statement!(ADVANCE, *run, branch, *revision, lease, node, *phase, *attempt, &input.branch, input.revision, *fork_revision, self.now)
    }

    fn journal(&self, sql: &'static str, entry: &Entry) -> Statement {
        let Transition { run, branch, revision, .. } = self.transition;
        let Entry { kind, node, attempt, output, error } = entry;
        let (output, handed_on, same_as) = output.parts();
        let value = |part: Option<&Bytes>| part.map_or(Value::Null, Value::payload);
        let (output, handed_on) = (value(output), value(handed_on));
        let same = (same_as.map(|row| row.branch.as_str()), same_as.map(|row| row.revision));
        let (lease, error) = (self.lease, error.as_ref());
        statement!(sql, *run, branch, *revision, lease, self.now, *kind, *attempt, node, same.0, same.1, output, handed_on, error)
    }

    /// Guard, journal, and what the transition does.
    fn guarded(&self) -> Outcome<Vec<Statement>> {
        let mut statements = vec![self.guard()];
        statements.extend(self.transition.entry.as_ref().map(|entry| self.journal(journal!(""), entry)));
        if let EventGuard::Use { name, seq } = &self.transition.guard {
            let sql = "DELETE FROM sayiir_event WHERE run = ?1 AND name = ?2 AND seq = ?3";
            statements.push(statement!(sql, self.transition.run, name, *seq));
        }
        match &self.transition.next {
            Next::Run { head } => statements.push(self.go_on(head)),
            Next::Release { head, wake, placement } => statements.extend(self.release(head, *wake, placement)),
            Next::Await { head, signal, wake, placement } => statements.extend(self.park(head, signal, *wake, placement)),
            Next::Fork { head, children, keep } => statements.extend(self.fork(head, children, *keep)?),
            Next::EndBranch => statements.extend(self.end_branch()?),
            Next::Finish => {
                statements.push(self.end_run(2));
                statements.push(statement!("DELETE FROM sayiir_branch WHERE run = ?1", self.transition.run));
            }
            Next::Fail { head } => {
                let sql = "UPDATE sayiir_branch SET revision = revision + 1, lease = NULL, run_at = NULL WHERE run = ?1";
                statements.push(statement!(sql, self.transition.run));
                statements.push(self.put(head, "lane", "NULL, pending = 0", "NULL", "NULL", Vec::new()));
                statements.push(self.end_run(3));
            }
        }
        Ok(statements)
    }

    fn guard(&self) -> Statement {
        let Transition { instance_id, run, branch, revision, entry: _, guard, held: _, next } = self.transition;
        let needs_live = match next {
            Next::Run { .. } | Next::Release { .. } | Next::EndBranch => *guard != EventGuard::None,
            Next::Await { .. } | Next::Fork { .. } | Next::Finish | Next::Fail { .. } => true,
        };
        let (mail, event) = match guard {
            EventGuard::None => (None, None),
            EventGuard::NoneSince { mail } => (Some(*mail), None),
            EventGuard::Use { name, seq } => (None, Some((name, *seq))),
        };
        let parent = if *next == Next::EndBranch { branch.parent() } else { None };
        let (name, seq, parent) = (event.map(|event| event.0), event.map(|event| event.1), parent.as_ref());
        statement!(GUARD, *run, branch, *revision, self.lease, needs_live, instance_id, mail, name, seq, parent)
    }

    /// The owner keeps the branch, though an event was looked at or awaited.
    fn go_on(&self, head: &Head) -> Statement {
        let Statement { sql, params } = self.advance(head);
        let sql = sql.replace(" AND awaits IS NULL RETURNING", " RETURNING").replace("due_at = NULL,", "due_at = NULL, awaits = NULL,");
        Statement { sql: sql.into(), params }
    }

    /// Puts the branch, which nobody holds then, at a head. `?4` and up are the caller's; what they are, the texts say.
    fn put(&self, head: &Head, lane: &str, awaits: &str, due_at: &str, run_at: &str, more: Vec<Value>) -> Statement {
        let Transition { run, branch, revision, .. } = self.transition;
        let Head { node, phase, attempt, input, fork_revision } = head;
        let own: Vec<Value> = vec![
            node.into(),
            (*phase).into(),
            (*attempt).into(),
            (&input.branch).into(),
            input.revision.into(),
            (*fork_revision).into(),
            self.now.into(),
            (revision + 1).into(),
        ];
        // The caller's parameters come right behind the key and the time, ours behind those.
        let at = |index: usize| format!("?{}", 4 + more.len() + index);
        let sql = format!(
            "UPDATE sayiir_branch SET revision = {}, lease = NULL, node = {}, phase = {}, attempt = {}, input_branch = {}, \
             input_revision = {}, fork_revision = {}, run_at = {run_at}, due_at = {due_at}, awaits = {awaits}, lane = {lane}, \
             moved_at = max(moved_at, ?3), attempt_at = {}, progress = NULL, progress_at = NULL, crashes = 0 \
             WHERE run = ?1 AND branch = ?2 RETURNING moved_at",
            at(7),
            at(0),
            at(1),
            at(2),
            at(3),
            at(4),
            at(5),
            at(6),
        );
        let key = [Value::from(*run), Value::from(branch), Value::from(self.now)];
        Statement { sql: sql.into(), params: key.into_iter().chain(more).chain(own).collect() }
    }

    fn new_lanes(&self, tags: &str) -> Statement {
        let list = serde_json::to_string(&[tags]).unwrap_or_default();
        statement!(NEW_LANES, self.transition.run, &self.transition.branch, list)
    }

    fn release(&self, head: &Head, wake: Wake, placement: &Placement) -> Vec<Statement> {
        let tags = tags_text(&placement.tags);
        let due_at = due(wake);
        // A branch that is handed back while it awaits an event goes on awaiting it.
        let awaits = if head.phase == Phase::Awaiting { "awaits" } else { "NULL" };
        let run_at = format!(
            "CASE WHEN ?5 OR pending > 0 THEN NULL WHEN EXISTS (SELECT 1 FROM sayiir_event e WHERE e.run = sayiir_branch.run \
             AND e.name = {awaits}) THEN ?3 WHEN {due_at} IS NOT NULL THEN {due_at} WHEN {awaits} IS NOT NULL THEN NULL ELSE ?3 END"
        );
        let awaits = format!("{awaits}, priority = ?6");
        let more = vec![Value::from(&tags), self.transition.held.into(), placement.priority.into(), self.wake_at(wake)];
        vec![self.new_lanes(&tags), self.put(head, LANE, &awaits, due_at, &run_at, more)]
    }

    fn park(&self, head: &Head, signal: &str, wake: Option<Wake>, placement: &Placement) -> Vec<Statement> {
        let tags = tags_text(&placement.tags);
        let due_at = wake.map_or("NULL", due);
        let run_at = format!(
            "CASE WHEN ?5 THEN NULL WHEN EXISTS (SELECT 1 FROM sayiir_event e WHERE e.run = sayiir_branch.run AND e.name = ?8) THEN ?3 \
             ELSE {due_at} END"
        );
        let wake_at = wake.map_or(Value::Null, |wake| self.wake_at(wake));
        let more = vec![Value::from(&tags), self.transition.held.into(), placement.priority.into(), wake_at, signal.into()];
        vec![self.new_lanes(&tags), self.put(head, LANE, "?8, pending = 0, priority = ?6", due_at, &run_at, more)]
    }

    fn wake_at(&self, wake: Wake) -> Value {
        match wake {
            Wake::Now => self.now.into(),
            Wake::After(delay) => (self.now + delay).into(),
            Wake::AsStored => Value::Null,
        }
    }

    fn fork(&self, head: &Head, children: &[Child], keep: usize) -> Outcome<Vec<Statement>> {
        let Transition { run, branch, revision, held, .. } = self.transition;
        let mut tags: Vec<String> = children.iter().map(|child| tags_text(&child.placement.tags)).collect();
        let mut statements = vec![self.put(head, "lane", "NULL, pending = ?4", "NULL", "NULL", vec![children.len().into()])];
        for (number, part) in children.chunks(CHILDREN).enumerate() {
            let begin = number * CHILDREN;
            let rows: Vec<_> = part
                .iter()
                .enumerate()
                .map(|(index, Child { head, placement })| NewChild {
                    id: branch.child(revision + 1, begin + index).as_str().to_owned(),
                    node: &head.node,
                    phase: head.phase.as_u8(),
                    attempt: head.attempt,
                    input_branch: head.input.branch.as_str(),
                    input_revision: head.input.revision,
                    fork_revision: head.fork_revision,
                    tags: tags_text(&placement.tags),
                    priority: placement.priority.as_u8(),
                    kept: u8::from(begin + index < keep),
                })
                .collect();
            let json = serde_json::to_string(&rows).map_err(|_| Fault::misused("a fork's children cannot be written as JSON"))?;
            let sql = "INSERT INTO sayiir_branch (run, branch, revision, lease, node, phase, attempt, input_branch, input_revision, \
                       fork_revision, pending, due_at, awaits, lane, priority, run_at, moved_at, attempt_at) \
                       SELECT b.run, c.value ->> 'id', 1, CASE WHEN NOT ?5 AND c.value ->> 'kept' THEN ?4 END, c.value ->> 'node', \
                       c.value ->> 'phase', c.value ->> 'attempt', c.value ->> 'input_branch', c.value ->> 'input_revision', \
                       c.value ->> 'fork_revision', 0, ?3, NULL, \
                       (SELECT other.id FROM sayiir_lane own JOIN sayiir_lane other ON other.definition = own.definition \
                       AND other.tags = c.value ->> 'tags' WHERE own.id = b.lane), c.value ->> 'priority', \
                       CASE WHEN ?5 THEN NULL WHEN c.value ->> 'kept' \
                       THEN ?3 + coalesce((SELECT ttl FROM sayiir_session WHERE lease = ?4), ?7) ELSE ?3 END, b.moved_at, ?3 \
                       FROM json_each(?6) c, sayiir_branch b WHERE b.run = ?1 AND b.branch = ?2";
            statements.push(statement!(sql, *run, branch, self.now, self.lease, *held, json, DEFAULT_TTL));
        }
        tags.sort();
        tags.dedup();
        let lanes = serde_json::to_string(&tags).unwrap_or_default();
        statements.insert(0, statement!(NEW_LANES, *run, branch, lanes));
        Ok(statements)
    }

    /// The count falls in the store, never by a value that was read; who brings it to nothing readies the parent.
    fn end_branch(&self) -> Outcome<Vec<Statement>> {
        let Transition { run, branch, revision, held, .. } = self.transition;
        let parent = branch.parent().ok_or_else(|| Fault::misused("the root branch ends by finishing the run"))?;
        let sql = "UPDATE sayiir_branch SET pending = pending - 1, revision = revision + (pending = 1), \
                   moved_at = max(moved_at, 1 + (SELECT at FROM sayiir_journal WHERE run = ?1 AND branch = ?3 AND revision = ?4)), \
                   due_at = CASE WHEN pending = 1 THEN ?5 ELSE due_at END, attempt_at = CASE WHEN pending = 1 THEN ?5 ELSE attempt_at END, \
                   progress = CASE WHEN pending = 1 THEN NULL ELSE progress END, \
                   progress_at = CASE WHEN pending = 1 THEN NULL ELSE progress_at END, \
                   lease = CASE WHEN pending = 1 AND NOT ?6 THEN ?7 ELSE lease END, run_at = CASE WHEN pending = 1 AND NOT ?6 \
                   THEN ?5 + coalesce((SELECT ttl FROM sayiir_session s WHERE s.lease = ?7), ?8) ELSE run_at END \
                   WHERE run = ?1 AND branch = ?2 AND pending > 0";
        Ok(vec![
            statement!("DELETE FROM sayiir_branch WHERE run = ?1 AND branch = ?2", *run, branch),
            statement!(sql, *run, &parent, branch, revision + 1, self.now, *held, self.lease, DEFAULT_TTL),
            statement!(views!("b.run = ?1 AND b.branch = ?2 AND b.lease = ?3 AND b.pending = 0"), *run, &parent, self.lease),
        ])
    }

    fn end_run(&self, status: i64) -> Statement {
        let Transition { run, branch, revision, .. } = self.transition;
        let sql = "UPDATE sayiir_instance SET status = ?2, paused = 0, end_branch = ?3, end_revision = ?4, updated_at = ?5, \
                   request_reason = NULL, request_by = NULL, request_at = NULL WHERE run = ?1";
        statement!(sql, *run, status, branch, revision + 1, self.now)
    }

    /// What the answers to [`Self::guarded`] say.
    fn outcome(&self, mut answers: Answers) -> Outcome<CommitOutcome> {
        answers.skip(1);
        let journaled = if self.transition.entry.is_some() { answers.first()? } else { None };
        // Between the two may be what became of an event.
        let last = answers.rows.next_back().and_then(|rows| rows.into_iter().next());
        match (journaled, &self.transition.next) {
            (Some(row), Next::EndBranch) => accepted(&row, last.map(|row| view(&row, self.now)).transpose()?),
            (Some(row), _) => accepted(&row, None),
            // Handed back as it was: the last statement tells when.
            (None, _) => accepted(&last.ok_or_else(nothing_written)?, None),
        }
    }
}

fn nothing_written() -> Fault {
    Fault::Store(StoreError::corrupt("a transition that its guard let pass wrote nothing"))
}

/// The text for when a branch is due; `?7` is the time, where the store does not have it.
const fn due(wake: Wake) -> &'static str {
    match wake {
        Wake::Now | Wake::After(_) => "?7",
        Wake::AsStored => "due_at",
    }
}
