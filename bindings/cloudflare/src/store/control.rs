//! Control: cancel, pause, unpause and retry, applied at once or recorded for a worker to apply.
//!
//! Each one moves the revision of every live branch, leased ones too, so that no owner's write made
//! without knowing of it is accepted.

use std::sync::Arc;

use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::time::Timestamp;
use sayiir_persistence::{ControlAction, ControlCommand, ControlOutcome};

use super::SqlStore;
use super::fault::{Fault, Outcome};
use crate::sql::{Statement, statement};

/// Ends the transaction if the action has nothing to do at the instance.
macro_rules! guard {
    ($already:literal) => {
        guard!($already, "i.status <> 1")
    };
    ($already:literal, $ended:literal) => {
        concat!(
            "INSERT INTO sayiir_guard SELECT why FROM (SELECT CASE WHEN i.run IS NULL THEN 'unknown' WHEN ",
            $already,
            " THEN 'already' WHEN ",
            $ended,
            " THEN 'ended' END AS why FROM (SELECT 1) LEFT JOIN sayiir_instance i \
             ON i.instance_id = ?1 AND i.status > 0) WHERE why IS NOT NULL"
        )
    };
}

/// Moves the revision of every live branch and derives again when the free ones are due. `$requested`: a request waits to be
/// applied. `$at`: no row of a branch is before it.
macro_rules! move_all {
    ($requested:literal, $at:literal, $which:literal) => {
        concat!(
            "UPDATE sayiir_branch SET revision = revision + 1, moved_at = max(moved_at, ",
            $at,
            "), run_at = CASE WHEN lease IS NOT NULL THEN run_at WHEN pending > 0 THEN NULL \
             WHEN (SELECT ",
            $requested,
            " FROM sayiir_instance i WHERE i.run = sayiir_branch.run) THEN ?2 \
             WHEN (SELECT i.paused FROM sayiir_instance i WHERE i.run = sayiir_branch.run) THEN NULL \
             WHEN awaits IS NULL THEN coalesce(due_at, ?2) \
             WHEN EXISTS (SELECT 1 FROM sayiir_event e WHERE e.run = sayiir_branch.run AND e.name = sayiir_branch.awaits) THEN ?2 \
             ELSE due_at END WHERE run = (SELECT run FROM sayiir_instance WHERE instance_id = ?1",
            $which,
            ")"
        )
    };
}

/// Moves all, as the instance says what waits to be applied; behind the row that control has just written.
pub(super) const MOVE_ALL: &str = move_all!(
    "i.cancel_at IS NOT NULL OR (i.pause_at IS NOT NULL AND i.paused = 0)",
    "coalesce((SELECT j.at FROM sayiir_instance i JOIN sayiir_journal j ON j.run = i.run AND j.branch = '' AND j.revision = i.control \
     WHERE i.instance_id = ?1), ?2)",
    ""
);

/// Moves all because of a recorded request.
const MOVE_FOR_REQUEST: &str = move_all!("1", "?2", "");

/// Before a request to cancel is forgotten.
const MOVE_WITHOUT_CANCEL: &str = move_all!("i.pause_at IS NOT NULL AND i.paused = 0", "?2", " AND status = 1 AND cancel_at IS NOT NULL");

/// Before a request to pause is forgotten.
const MOVE_WITHOUT_PAUSE: &str = move_all!("0", "?2", " AND status = 1 AND cancel_at IS NULL AND pause_at IS NOT NULL AND paused = 0");

const fn guard_of(action: ControlAction) -> &'static str {
    match action {
        ControlAction::Cancel => guard!("i.status = 4"),
        ControlAction::Pause => guard!("i.status = 1 AND i.paused = 1"),
        ControlAction::Unpause => guard!("i.status = 1 AND i.paused = 0"),
        ControlAction::Retry => guard!("i.status = 1", "i.status <> 3"),
    }
}

impl SqlStore {
    pub(super) async fn apply_control(self, command: ControlCommand) -> Outcome<ControlOutcome> {
        self.apply(Vec::new(), command).await
    }

    pub(super) async fn apply_recorded(self, instance_id: Arc<str>, kind: SignalKind) -> Outcome<bool> {
        let Some(request) = self.clone().recorded_control(Arc::clone(&instance_id), kind).await? else { return Ok(false) };
        let waits = match kind {
            SignalKind::Cancel => {
                "INSERT INTO sayiir_guard SELECT 'already' WHERE NOT EXISTS (SELECT 1 FROM sayiir_instance \
                                   WHERE instance_id = ?1 AND status = 1 AND cancel_at = ?2)"
            }
            SignalKind::Pause => {
                "INSERT INTO sayiir_guard SELECT 'already' WHERE NOT EXISTS (SELECT 1 FROM sayiir_instance \
                                  WHERE instance_id = ?1 AND status = 1 AND paused = 0 AND cancel_at IS NULL AND pause_at = ?2)"
            }
        };
        let still = statement!(waits, &instance_id, Timestamp::from(request.requested_at));
        let outcome = self.apply(vec![still], ControlCommand { instance_id, action: kind.into(), request: request.anew() }).await?;
        Ok(outcome == ControlOutcome::Applied)
    }

    /// Behind these statements, in one batch with them.
    async fn apply(self, mut statements: Vec<Statement>, command: ControlCommand) -> Outcome<ControlOutcome> {
        let ControlCommand { instance_id, action, request } = command;
        let now = self.now();
        let request = request.stamped(now.into());
        // Behind every row of the branches that it acts upon.
        let journal = "INSERT INTO sayiir_journal (run, branch, revision, at, kind, attempt, node, error) SELECT i.run, '', i.control + 1, \
                       max(?2, coalesce((SELECT max(moved_at) + 1 FROM sayiir_branch b WHERE b.run = i.run), ?2)), ?3, 0, '', ?4 \
                       FROM sayiir_instance i WHERE i.instance_id = ?1";
        statements.extend([
            statement!(guard_of(action), &instance_id),
            statement!(journal, &instance_id, now, action.entry_kind(), request.in_words()),
            statement!("UPDATE sayiir_instance SET control = control + 1, updated_at = ?2 WHERE instance_id = ?1", &instance_id, now),
        ]);
        match action {
            ControlAction::Cancel => {
                statements.push(record(&instance_id, SignalKind::Cancel, Some(&request)));
                let sql = "UPDATE sayiir_instance SET status = 4, paused = 0, request_reason = cancel_reason, request_by = cancel_by, \
                           request_at = cancel_at WHERE instance_id = ?1";
                statements.push(statement!(sql, &instance_id));
                let sql = "DELETE FROM sayiir_branch WHERE run = (SELECT run FROM sayiir_instance WHERE instance_id = ?1)";
                statements.push(statement!(sql, &instance_id));
            }
            ControlAction::Pause => {
                statements.push(record(&instance_id, SignalKind::Pause, Some(&request)));
                let sql = "UPDATE sayiir_instance SET paused = 1, request_reason = pause_reason, request_by = pause_by, \
                           request_at = pause_at WHERE instance_id = ?1";
                statements.push(statement!(sql, &instance_id));
                statements.push(statement!(MOVE_ALL, &instance_id, now));
            }
            ControlAction::Unpause => {
                statements.push(record(&instance_id, SignalKind::Pause, None));
                let sql = "UPDATE sayiir_instance SET paused = 0, request_reason = NULL, request_by = NULL, request_at = NULL \
                           WHERE instance_id = ?1";
                statements.push(statement!(sql, &instance_id));
                statements.push(statement!(MOVE_ALL, &instance_id, now));
            }
            ControlAction::Retry => {
                statements.push(record(&instance_id, SignalKind::Cancel, None));
                statements.push(record(&instance_id, SignalKind::Pause, None));
                let sql = "UPDATE sayiir_instance SET status = 1, paused = 0, end_branch = NULL, end_revision = NULL, request_reason = NULL, \
                           request_by = NULL, request_at = NULL WHERE instance_id = ?1";
                statements.push(statement!(sql, &instance_id));
                statements.push(statement!(MOVE_ALL, &instance_id, now));
            }
        }
        self.controlled(&instance_id, statements).await
    }

    pub(super) async fn record_control(self, instance_id: Arc<str>, kind: SignalKind, request: SignalRequest) -> Outcome<ControlOutcome> {
        let now = self.now();
        let action = ControlAction::from(kind);
        let statements = vec![
            statement!(guard_of(action), &instance_id),
            record(&instance_id, kind, Some(&request.stamped(now.into()))),
            statement!(MOVE_FOR_REQUEST, &instance_id, now),
        ];
        self.controlled(&instance_id, statements).await
    }

    async fn controlled(&self, instance_id: &Arc<str>, statements: Vec<Statement>) -> Outcome<ControlOutcome> {
        match self.batch(statements).await {
            Ok(_) => {
                self.tell_control(instance_id);
                Ok(ControlOutcome::Applied)
            }
            Err(Fault::Guard(why)) if why == "unknown" => Ok(ControlOutcome::NotFound),
            Err(Fault::Guard(why)) if why == "already" => Ok(ControlOutcome::AlreadySo),
            Err(Fault::Guard(_)) => {
                Ok(self.find(instance_id).await?.map_or(ControlOutcome::NotFound, |found| ControlOutcome::Finished(found.status())))
            }
            Err(fault) => Err(fault),
        }
    }

    pub(super) fn tell_control(&self, instance_id: &str) {
        self.wakeups().announce_due();
        self.wakeups().announce_control();
        self.wakeups().announce_instance(instance_id);
    }

    pub(super) async fn recorded_control(self, instance_id: Arc<str>, kind: SignalKind) -> Outcome<Option<SignalRequest>> {
        Ok(self.find(&instance_id).await?.and_then(|found| match kind {
            SignalKind::Cancel => found.instance.cancel,
            SignalKind::Pause => found.instance.pause,
        }))
    }

    /// Forgets a recorded request; if that changes what waits to be applied, owners and free branches move.
    pub(super) async fn forget_control(self, instance_id: Arc<str>, kind: SignalKind) -> Outcome<()> {
        let sql = match kind {
            SignalKind::Cancel => MOVE_WITHOUT_CANCEL,
            SignalKind::Pause => MOVE_WITHOUT_PAUSE,
        };
        self.batch(vec![statement!(sql, &instance_id, self.now()), record(&instance_id, kind, None)]).await?;
        self.tell_control(&instance_id);
        Ok(())
    }
}

/// Records or forgets a request.
pub(super) fn record(instance_id: &Arc<str>, kind: SignalKind, request: Option<&SignalRequest>) -> Statement {
    let sql = match kind {
        SignalKind::Cancel => {
            "UPDATE sayiir_instance SET cancel_reason = ?2, cancel_by = ?3, cancel_at = ?4 WHERE instance_id = ?1 AND status > 0"
        }
        SignalKind::Pause => {
            "UPDATE sayiir_instance SET pause_reason = ?2, pause_by = ?3, pause_at = ?4 WHERE instance_id = ?1 AND status > 0"
        }
    };
    let at = request.map(|request| Timestamp::from(request.requested_at));
    let (reason, by) = (request.and_then(|request| request.reason.as_ref()), request.and_then(|request| request.requested_by.as_ref()));
    statement!(sql, instance_id, reason, by, at)
}
