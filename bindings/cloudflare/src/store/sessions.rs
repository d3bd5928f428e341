//! Worker sessions: their lease numbers, processes and lease lengths.

use std::time::Duration;

use sayiir_core::branch::LeaseId;
use sayiir_core::time::Timestamp;
use sayiir_persistence::{CALL_IDLE, FORGOTTEN_AT_ONCE, Process, SEEN_EVERY, SESSION_IDLE};

use super::SqlStore;
use super::fault::{Fault, Outcome};
use super::operate::delete_some;
use crate::sql::{Statement, statement};

/// A lease's length where a session has never named one, in microseconds.
pub(super) const DEFAULT_TTL: i64 = 30_000_000;

impl SqlStore {
    pub(super) async fn open_a_session(self, process: Process) -> Outcome<LeaseId> {
        let Process { host, pid, started, worker_id } = process;
        let now = self.now();
        let mut statements = vec![
            statement!("UPDATE sayiir_counter SET value = value + 1 WHERE name = 'lease' RETURNING value"),
            // As a text: a start time may use all 64 bits.
            statement!(
                "INSERT INTO sayiir_session (lease, host, pid, started, worker_id, seen_at) \
                 SELECT value, ?1, ?2, ?3, ?4, ?5 FROM sayiir_counter WHERE name = 'lease'",
                host,
                pid,
                started.to_string(),
                worker_id,
                now,
            ),
            statement!(
                "DELETE FROM sayiir_session WHERE lease IN (SELECT s.lease FROM sayiir_session s WHERE s.seen_at <= ?1 \
                 AND (s.pid = 0 OR s.seen_at <= ?2) AND NOT EXISTS (SELECT 1 FROM sayiir_branch b WHERE b.lease = s.lease) \
                 ORDER BY s.seen_at LIMIT ?3)",
                now - CALL_IDLE,
                now - SESSION_IDLE,
                FORGOTTEN_AT_ONCE,
            ),
        ];
        statements.extend(delete_some());
        let row = self.batch(statements).await?.first()?;
        let lease = row.ok_or_else(|| Fault::corrupt("the counter of leases is missing"))?.columns().take()?;
        Ok(lease)
    }

    pub(super) async fn sessions_on(self, host: String) -> Outcome<Vec<(LeaseId, Process)>> {
        let sql = "SELECT s.lease, s.host, s.pid, s.started, s.worker_id FROM (SELECT DISTINCT lease FROM sayiir_branch \
                   WHERE lease IS NOT NULL) l JOIN sayiir_session s ON s.lease = l.lease WHERE s.host = ?1 ORDER BY s.lease";
        let rows = self.ask(statement!(sql, host)).await?;
        let session = |row: &crate::sql::Row| {
            let mut columns = row.columns();
            let (lease, host, pid, started) = (columns.take()?, columns.take()?, columns.take()?, columns.take::<String>()?);
            let started = started.parse().map_err(|_| Fault::corrupt(format!("a session started at {started:?}")))?;
            Ok((lease, Process { host, pid, started, worker_id: columns.take()? }))
        };
        rows.iter().map(session).collect()
    }
}

/// Keeps how long a session takes branches for, as it last said, and that it was seen, to within ten minutes.
pub(super) fn remember_ttl(lease: LeaseId, ttl: Duration, now: Timestamp) -> Statement {
    let micros = i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX);
    let sql = "UPDATE sayiir_session SET ttl = ?2, seen_at = ?3 WHERE lease = ?1 AND (ttl IS NOT ?2 OR seen_at <= ?4)";
    statement!(sql, lease, micros, now, now - SEEN_EVERY)
}
