//! The beginning and the removal of a run.

use std::sync::Arc;

use sayiir_core::branch::{BranchId, RunNumber};
use sayiir_core::time::Timestamp;
use sayiir_persistence::meet::Meeting;
use sayiir_persistence::{BranchView, Definition, RunState, StartOutcome, StartRun, StoreError};

use super::attributes::as_json;
use super::fault::{Fault, Outcome};
use super::read::Found;
use super::rows::{tags_text, view, views};
use super::sessions::remember_ttl;
use super::{SqlStore, TRIES};
use crate::sql::{Row, Statement, Value, statement};

/// Whom a start replaces.
#[derive(Clone, Copy)]
pub(super) enum Instead {
    /// Nobody: the id has no run.
    OfNothing,
    /// This run.
    Of(RunNumber),
}

impl SqlStore {
    pub(super) async fn start_run(self, request: StartRun) -> Outcome<StartOutcome> {
        let mut instead = Instead::OfNothing;
        for _ in 0..TRIES {
            let now = self.now();
            let mut statements = begin(&request, instead, Some(request.nonce), now);
            let begun = statements.len();
            statements.extend(request.lease.map(|(lease, ttl)| remember_ttl(lease, ttl, now)));
            statements.push(statement!("SELECT run, created_at FROM sayiir_instance WHERE instance_id = ?1", &request.instance_id));
            statements.extend(request.lease.map(|(lease, _)| {
                statement!(views!("i.instance_id = ?1 AND b.branch = '0' AND b.lease = ?2 AND b.revision = 1"), &request.instance_id, lease)
            }));
            match self.batch(statements).await {
                Ok(mut answers) => {
                    answers.skip(begun + usize::from(request.lease.is_some()));
                    let row = answers.first()?.ok_or_else(|| Fault::corrupt("a run that was started is not there"))?;
                    let root = if request.lease.is_some() { answers.first()? } else { None };
                    self.tell_start(&request.instance_id, request.lease.is_some(), matches!(instead, Instead::Of(_)));
                    return fresh(&row, root.map(|row| view(&row, now)).transpose()?);
                }
                Err(Fault::Guard(_)) => {}
                Err(fault) => return Err(fault),
            }
            match self.find(&request.instance_id).await? {
                // It was deleted meanwhile.
                None => instead = Instead::OfNothing,
                Some(found) => match self.meet(&found, &request).await? {
                    Some(outcome) => return Ok(outcome),
                    None => instead = Instead::Of(found.instance.run),
                },
            }
        }
        Err(contended(&request.instance_id))
    }

    /// What a start meets under an id that has a run; `None` if it is to replace it.
    async fn meet(&self, found: &Found, request: &StartRun) -> Outcome<Option<StartOutcome>> {
        let instance = &found.instance;
        match request.meets(instance.definition.hash, instance.nonce.as_deref() == Some(&*nonce_text(request.nonce))) {
            Meeting::Own => {
                let root = match request.lease {
                    Some((lease, _)) => {
                        let statement =
                            statement!(views!("b.run = ?1 AND b.branch = '0' AND b.lease = ?2 AND b.revision = 1"), instance.run, lease);
                        self.ask(statement).await?.first().map(|row| view(row, found.now)).transpose()?
                    }
                    None => None,
                };
                let (run, created_at) = (instance.run, instance.created_at);
                Ok(Some(StartOutcome::Fresh { run, created_at, root: root.map(Box::new) }))
            }
            Meeting::Existing => {
                let output = match (instance.state, &instance.end) {
                    (RunState::Completed, Some(end)) => self.values(instance.run, std::slice::from_ref(end)).await?.pop(),
                    _ => None,
                };
                Ok(Some(StartOutcome::Existing { status: found.status(), output }))
            }
            Meeting::Refused(outcome) => Ok(Some(outcome)),
            Meeting::ToReplace => Ok(None),
        }
    }

    pub(super) fn tell_start(&self, instance_id: &str, held: bool, replaced: bool) {
        if !held {
            self.wakeups().announce_due();
        }
        if replaced {
            self.wakeups().announce_control();
        }
        self.wakeups().announce_instance(instance_id);
    }

    /// Removes an instance. False if the id had no run.
    pub(super) async fn delete_instance(self, instance_id: Arc<str>) -> Outcome<bool> {
        let of_run = |sql: &str| {
            let runs = "(SELECT run FROM sayiir_instance WHERE instance_id = ?1)";
            statement!(format!("{sql} = {runs}"), &instance_id)
        };
        let statements = vec![
            statement!("SELECT status FROM sayiir_instance WHERE instance_id = ?1", &instance_id),
            of_run("DELETE FROM sayiir_branch WHERE run"),
            of_run("DELETE FROM sayiir_event WHERE run"),
            of_run("DELETE FROM sayiir_event_key WHERE run"),
            of_run("DELETE FROM sayiir_attribute WHERE run"),
            of_run("DELETE FROM sayiir_journal WHERE run"),
            statement!(
                "DELETE FROM sayiir_journal WHERE run = (SELECT previous FROM sayiir_instance WHERE instance_id = ?1)",
                &instance_id
            ),
            statement!("DELETE FROM sayiir_instance WHERE instance_id = ?1", &instance_id),
        ];
        let status: Option<i64> = self.batch(statements).await?.first()?.map(|row| row.columns().take()).transpose()?;
        let was_known = status.is_some_and(|status| status > 0);
        if was_known {
            self.wakeups().announce_control();
            self.wakeups().announce_instance(&instance_id);
        }
        Ok(was_known)
    }
}

pub(super) fn contended(instance_id: &str) -> Fault {
    Fault::Store(StoreError::unavailable(format!("instance {instance_id:?} moved each time it was looked at; ask again")))
}

fn fresh(row: &Row, root: Option<BranchView>) -> Outcome<StartOutcome> {
    let mut columns = row.columns();
    Ok(StartOutcome::Fresh { run: columns.take()?, created_at: columns.take()?, root: root.map(Box::new) })
}

/// A nonce has more bits than a number of the database.
pub(super) fn nonce_text(nonce: u128) -> String {
    format!("{nonce:032x}")
}

/// Makes a new run in the place of what is known under the id; the guard is `known` if that is something else now.
pub(super) fn begin(request: &StartRun, instead: Instead, nonce: Option<u128>, now: Timestamp) -> Vec<Statement> {
    let StartRun { instance_id, definition, policy: _, input, first_node, placement, nonce: _, lease, trace, attributes } = request;
    let Definition { hash, name, version, document } = definition;
    let tags = tags_text(&placement.tags);
    let mut statements = match instead {
        Instead::OfNothing => vec![statement!(
            "INSERT INTO sayiir_guard SELECT 'known' FROM sayiir_instance WHERE instance_id = ?1 AND status > 0",
            instance_id
        )],
        Instead::Of(run) => {
            let guard = "INSERT INTO sayiir_guard SELECT 'known' WHERE NOT EXISTS \
                         (SELECT 1 FROM sayiir_instance WHERE instance_id = ?1 AND run = ?2 AND status > 0)";
            let mut statements = vec![statement!(guard, instance_id, run)];
            statements.extend(clear(instance_id, run));
            statements
        }
    };
    let sql = "INSERT OR IGNORE INTO sayiir_definition (hash, name, version, document) VALUES (?1, ?2, ?3, ?4)";
    statements.push(statement!(sql, hash.to_hex(), name, version, document.as_ref()));
    if let Some(document) = document {
        let sql = "UPDATE sayiir_definition SET document = ?4 WHERE hash = ?1 AND name = ?2 AND version = ?3 AND document IS NULL";
        statements.push(statement!(sql, hash.to_hex(), name, version, document));
    }
    let sql = "INSERT OR IGNORE INTO sayiir_lane (definition, tags) SELECT id, ?4 FROM sayiir_definition \
               WHERE hash = ?1 AND name = ?2 AND version = ?3";
    statements.push(statement!(sql, hash.to_hex(), name, version, &tags));
    // An id that only has events has its number already.
    let sql = "UPDATE sayiir_counter SET value = value + 1 WHERE name = 'run' \
               AND NOT EXISTS (SELECT 1 FROM sayiir_instance WHERE instance_id = ?1)";
    statements.push(statement!(sql, instance_id));
    let sql = "INSERT INTO sayiir_instance (run, instance_id, status, created_at, updated_at) \
               SELECT value, ?1, 0, ?2, ?2 FROM sayiir_counter WHERE name = 'run' \
               AND NOT EXISTS (SELECT 1 FROM sayiir_instance WHERE instance_id = ?1)";
    statements.push(statement!(sql, instance_id, now));
    let sql = "UPDATE sayiir_instance SET (status, definition, lane, created_at, updated_at, nonce, first_node, priority, trace) = \
               (SELECT 1, d.id, l.id, ?6, ?6, ?7, ?8, ?9, ?10 FROM sayiir_definition d JOIN sayiir_lane l ON l.definition = d.id \
               AND l.tags = ?5 WHERE d.hash = ?2 AND d.name = ?3 AND d.version = ?4) WHERE instance_id = ?1";
    let nonce: Value = nonce.map(nonce_text).into();
    let (hash, priority) = (hash.to_hex(), placement.priority);
    statements.push(statement!(sql, instance_id, hash, name, version, &tags, now, nonce, first_node, priority, trace.as_ref()));
    if !attributes.is_empty() {
        let sql = "INSERT INTO sayiir_attribute (run, name, kind, number, text) SELECT i.run, a.value ->> 0, a.value ->> 1, a.value ->> 2, \
                   a.value ->> 3 FROM sayiir_instance i, json_each(?2) a WHERE i.instance_id = ?1";
        statements.push(statement!(sql, instance_id, as_json(attributes)));
    }
    let sql = "INSERT INTO sayiir_journal (run, branch, revision, at, lease, kind, attempt, node, output) \
               SELECT run, '0', 1, ?2, ?3, 1, 0, ?4, ?5 FROM sayiir_instance WHERE instance_id = ?1";
    statements.push(statement!(sql, instance_id, now, lease.map(|(lease, _)| lease), first_node, Value::payload(input)));
    let sql = "INSERT INTO sayiir_branch (run, branch, revision, lease, node, phase, attempt, input_branch, input_revision, fork_revision, \
               due_at, lane, priority, run_at, moved_at, attempt_at) \
               SELECT run, ?2, 1, ?3, ?4, 0, 0, '0', 1, 0, ?5, lane, priority, ?6, ?5, ?5 FROM sayiir_instance WHERE instance_id = ?1";
    let run_at = lease.map_or(now, |(_, ttl)| now + ttl);
    statements.push(statement!(sql, instance_id, &BranchId::root(), lease.map(|(lease, _)| lease), first_node, now, run_at));
    statements
}

/// Gives the instance's row the next number and removes the old run with its heads, events and requests. Its journal stays until
/// the run after it is replaced in turn.
fn clear(instance_id: &Arc<str>, run: RunNumber) -> Vec<Statement> {
    vec![
        statement!("DELETE FROM sayiir_branch WHERE run = ?1", run),
        statement!("DELETE FROM sayiir_event WHERE run = ?1", run),
        statement!("DELETE FROM sayiir_event_key WHERE run = ?1", run),
        statement!("DELETE FROM sayiir_attribute WHERE run = ?1", run),
        statement!("INSERT OR IGNORE INTO sayiir_purge SELECT previous FROM sayiir_instance WHERE run = ?1 AND previous IS NOT NULL", run),
        statement!("UPDATE sayiir_counter SET value = value + 1 WHERE name = 'run'"),
        statement!(
            "UPDATE sayiir_instance SET run = (SELECT value FROM sayiir_counter WHERE name = 'run'), previous = ?1, status = 0, paused = 0, \
             control = 0, end_branch = NULL, end_revision = NULL, request_reason = NULL, request_by = NULL, \
             request_at = NULL, cancel_reason = NULL, cancel_by = NULL, cancel_at = NULL, pause_reason = NULL, pause_by = NULL, \
             pause_at = NULL WHERE instance_id = ?2",
            run,
            instance_id
        ),
    ]
}
