//! What operators do: purge and rewind, each in one transaction.

use sayiir_core::branch::{BranchId, Phase, RunNumber};
use sayiir_core::journal::EntryKind;
use sayiir_core::time::Timestamp;
use sayiir_persistence::{PurgeRequest, Purgeable, Rewind, RewindOutcome};

use super::fault::{Fault, Outcome};
use super::rows::tags_text;
use super::start::{contended, nonce_text};
use super::{SqlStore, TRIES};
use crate::sql::{Statement, statement};

/// The runs that are purged, the first that ended before the others: the same in each statement of one transaction, until the last.
macro_rules! ended {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            "(SELECT run FROM sayiir_instance WHERE status > 1 AND updated_at <= ?1 AND (?2 IS NULL OR definition IN \
             (SELECT id FROM sayiir_definition WHERE name = ?2)) ORDER BY updated_at, run LIMIT ?3)",
            $after
        )
    };
}

/// Ids that never began (they have no definition), and to which nothing was sent after a time that still waits: as above, the same
/// in each statement until the last.
macro_rules! unclaimed {
    ($before:literal, $after:literal) => {
        concat!(
            $before,
            "(SELECT run FROM sayiir_instance i WHERE definition IS NULL AND status = 0 AND updated_at <= ?1 AND NOT EXISTS \
             (SELECT 1 FROM sayiir_event e WHERE e.run = i.run AND e.at > ?1) ORDER BY instance_id LIMIT ?2)",
            $after
        )
    };
}

/// What is done to each of those.
const PURGE_UNCLAIMED: [&str; 3] = [
    unclaimed!("DELETE FROM sayiir_event WHERE run IN ", ""),
    unclaimed!("DELETE FROM sayiir_event_key WHERE run IN ", ""),
    unclaimed!("DELETE FROM sayiir_instance WHERE run IN ", " RETURNING instance_id"),
];

/// What is done to each run that is purged.
const PURGE: [&str; 7] = [
    ended!("DELETE FROM sayiir_branch WHERE run IN ", ""),
    ended!("DELETE FROM sayiir_event WHERE run IN ", ""),
    ended!("DELETE FROM sayiir_event_key WHERE run IN ", ""),
    ended!("DELETE FROM sayiir_attribute WHERE run IN ", ""),
    ended!("INSERT OR IGNORE INTO sayiir_purge SELECT previous FROM sayiir_instance WHERE previous IS NOT NULL AND run IN ", ""),
    ended!("INSERT OR IGNORE INTO sayiir_purge SELECT run FROM sayiir_instance WHERE run IN ", ""),
    ended!("DELETE FROM sayiir_instance WHERE run IN ", " RETURNING instance_id"),
];

/// Which rows a rewind keeps: the root's up to a revision, and those of branches of forks that it made before.
const COPY: &str = "INSERT INTO sayiir_journal (run, branch, revision, at, lease, kind, attempt, node, same_branch, same_revision, output, \
     handed_on, error) SELECT c.value, branch, revision, at, lease, kind, attempt, node, same_branch, same_revision, output, handed_on, \
     error FROM sayiir_journal, sayiir_counter c WHERE c.name = 'run' AND run = ?1 AND ((branch = '0' AND revision <= ?2) \
     OR (branch > '0.' AND branch < '0/' AND CAST(substr(branch, 3) AS INTEGER) < ?2))";

/// The lazy end of runs that were purged or replaced.
pub(super) fn delete_some() -> [Statement; 2] {
    [
        statement!(
            "DELETE FROM sayiir_journal WHERE (run, branch, revision) IN (SELECT j.run, j.branch, j.revision FROM sayiir_purge p \
             CROSS JOIN sayiir_journal j ON j.run = p.run LIMIT 500)"
        ),
        statement!(
            "DELETE FROM sayiir_purge WHERE run IN (SELECT run FROM sayiir_purge LIMIT 500) \
             AND NOT EXISTS (SELECT 1 FROM sayiir_journal j WHERE j.run = sayiir_purge.run)"
        ),
    ]
}

impl SqlStore {
    /// Removes what is old. The journals of instances that ended go piece by piece, with this and with what comes later.
    pub(super) async fn purge_old(self, request: PurgeRequest) -> Outcome<u64> {
        let PurgeRequest { what, older_than, limit } = request;
        let until = self.now() - older_than;
        match what {
            Purgeable::Ended { workflow } => self.purge_ended(workflow, until, limit).await,
            Purgeable::UnclaimedEvents => {
                let statements = PURGE_UNCLAIMED.iter().map(|sql| statement!(*sql, until, limit)).collect();
                let mut answers = self.batch(statements).await?;
                answers.skip(PURGE_UNCLAIMED.len() - 1);
                Ok(u64::try_from(answers.next()?.len()).unwrap_or(u64::MAX))
            }
        }
    }

    async fn purge_ended(self, workflow: Option<String>, until: Timestamp, limit: usize) -> Outcome<u64> {
        let mut statements: Vec<_> = PURGE.iter().map(|sql| statement!(*sql, until, workflow.as_ref(), limit)).collect();
        statements.extend(delete_some());
        let mut answers = self.batch(statements).await?;
        answers.skip(PURGE.len() - 1);
        let removed = answers.next()?;
        if !removed.is_empty() {
            self.wakeups().announce_control();
        }
        for row in &removed {
            self.wakeups().announce_instance(&row.columns().take::<String>()?);
        }
        Ok(u64::try_from(removed.len()).unwrap_or(u64::MAX))
    }

    pub(super) async fn rewind_run(self, rewind: Rewind) -> Outcome<RewindOutcome> {
        let Rewind { instance_id, expected, nonce, .. } = &rewind;
        for _ in 0..TRIES {
            let Some(found) = self.find(instance_id).await? else { return Ok(RewindOutcome::NotFound) };
            let run = found.instance.run;
            if found.instance.nonce.as_deref() == Some(&*nonce_text(*nonce)) {
                return Ok(RewindOutcome::Rewound { run });
            }
            if run != *expected {
                return Ok(RewindOutcome::Moved { run });
            }
            match self.batch(begin_again(&rewind, self.now())).await {
                Ok(mut answers) => {
                    let row = answers.rows.next_back().and_then(|rows| rows.into_iter().next());
                    let run = row.ok_or_else(|| Fault::corrupt("a run that was rewound is not there"))?.columns().take()?;
                    self.tell_control(instance_id);
                    return Ok(RewindOutcome::Rewound { run });
                }
                Err(Fault::Guard(why)) if why == "unknown" => return Err(lacks(&rewind)),
                Err(Fault::Guard(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(contended(instance_id))
    }
}

fn lacks(rewind: &Rewind) -> Fault {
    let Rewind { instance_id, keep, input, .. } = rewind;
    Fault::misused(format!(
        "a rewind of instance {instance_id:?} is to keep the root branch's rows at the revisions {keep} and {}, which are not there",
        input.revision
    ))
}

fn begin_again(rewind: &Rewind, now: Timestamp) -> Vec<Statement> {
    let Rewind { instance_id, expected, nonce, keep, node, input, placement, request } = rewind;
    let old: RunNumber = *expected;
    let same = "INSERT INTO sayiir_guard SELECT 'moved' WHERE NOT EXISTS \
                (SELECT 1 FROM sayiir_instance WHERE instance_id = ?1 AND run = ?2 AND status > 0)";
    let rows = "INSERT INTO sayiir_guard SELECT 'unknown' WHERE 2 > (SELECT count(*) FROM json_each(json_array(?2, ?3)) v \
                JOIN sayiir_journal j ON j.run = ?1 AND j.branch = '0' AND j.revision = v.value)";
    let lane = "INSERT OR IGNORE INTO sayiir_lane (definition, tags) SELECT definition, ?2 FROM sayiir_instance WHERE run = ?1";
    let replaced = "UPDATE sayiir_instance SET run = (SELECT value FROM sayiir_counter WHERE name = 'run'), previous = ?1, status = 1, \
                    paused = 0, control = 0, nonce = ?2, created_at = ?3, updated_at = ?3, end_branch = NULL, end_revision = NULL, \
                    request_reason = NULL, request_by = NULL, request_at = NULL, cancel_reason = NULL, cancel_by = NULL, cancel_at = NULL, \
                    pause_reason = NULL, pause_by = NULL, pause_at = NULL WHERE run = ?1";
    let row = "INSERT INTO sayiir_journal (run, branch, revision, at, kind, attempt, node, same_branch, same_revision, error) \
               SELECT i.run, '0', ?2, max(?3, (SELECT max(at) + 1 FROM sayiir_journal j WHERE j.run = i.run)), ?4, 0, ?5, '0', ?6, ?7 \
               FROM sayiir_instance i WHERE i.instance_id = ?1";
    let head = "INSERT INTO sayiir_branch (run, branch, revision, node, phase, attempt, input_branch, input_revision, fork_revision, due_at, \
                lane, priority, run_at, moved_at, attempt_at) SELECT i.run, ?2, ?3, ?4, ?5, 0, ?2, ?6, 0, ?7, l.id, ?8, ?7, \
                (SELECT max(at) FROM sayiir_journal j WHERE j.run = i.run), ?7 \
                FROM sayiir_instance i JOIN sayiir_lane l ON l.definition = i.definition AND l.tags = ?9 WHERE i.instance_id = ?1";
    let (tags, kept, root) = (tags_text(&placement.tags), input.revision, BranchId::root());
    let (revision, why) = (keep + 1, request.in_words());
    let mut statements = vec![
        statement!(same, instance_id, old),
        statement!(rows, old, *keep, kept),
        statement!(lane, old, &tags),
        statement!("DELETE FROM sayiir_branch WHERE run = ?1", old),
        statement!("INSERT OR IGNORE INTO sayiir_purge SELECT previous FROM sayiir_instance WHERE run = ?1 AND previous IS NOT NULL", old),
        statement!("UPDATE sayiir_counter SET value = value + 1 WHERE name = 'run'"),
        statement!(COPY, old, *keep),
    ];
    for sql in [
        "UPDATE sayiir_event SET run = (SELECT value FROM sayiir_counter WHERE name = 'run') WHERE run = ?1",
        "UPDATE sayiir_event_key SET run = (SELECT value FROM sayiir_counter WHERE name = 'run') WHERE run = ?1",
        "UPDATE sayiir_attribute SET run = (SELECT value FROM sayiir_counter WHERE name = 'run') WHERE run = ?1",
    ] {
        statements.push(statement!(sql, old));
    }
    statements.extend([
        statement!(replaced, old, nonce_text(*nonce), now),
        statement!(row, instance_id, revision, now, EntryKind::Rewound, node, kept, why),
        statement!(head, instance_id, &root, revision, node, Phase::At, kept, now, placement.priority, &tags),
        statement!("SELECT run FROM sayiir_instance WHERE instance_id = ?1", instance_id),
    ]);
    statements
}
