//! Worker sessions: their lease numbers, processes and lease lengths.

use std::time::Duration;

use sayiir_core::branch::LeaseId;
use sayiir_persistence::Process;

use super::SqlStore;
use super::fault::{Fault, Outcome};
use crate::sql::{Statement, statement};

/// A lease's length where a session has never named one, in microseconds.
pub(super) const DEFAULT_TTL: i64 = 30_000_000;

/// How long a session is remembered. One that works longer has leases of the default length; nothing else is lost.
const REMEMBERED: Duration = Duration::from_hours(24 * 7);

impl SqlStore {
    pub(super) async fn open_a_session(self, process: Process) -> Outcome<LeaseId> {
        let Process { host, pid, started, worker_id } = process;
        let now = self.now();
        let old = now.as_micros().saturating_sub(i64::try_from(REMEMBERED.as_micros()).unwrap_or(i64::MAX));
        let statements = vec![
            statement!("UPDATE sayiir_counter SET value = value + 1 WHERE name = 'lease' RETURNING value"),
            // As a text: a start time may use all 64 bits.
            statement!(
                "INSERT INTO sayiir_session (lease, host, pid, started, worker_id, opened_at) \
                 SELECT value, ?1, ?2, ?3, ?4, ?5 FROM sayiir_counter WHERE name = 'lease'",
                host,
                pid,
                started.to_string(),
                worker_id,
                now,
            ),
            statement!(
                "DELETE FROM sayiir_session WHERE lease IN (SELECT lease FROM sayiir_session ORDER BY lease LIMIT 8) AND opened_at < ?1 \
                 AND NOT EXISTS (SELECT 1 FROM sayiir_branch b WHERE b.lease = sayiir_session.lease)",
                old,
            ),
            // The lazy end of replaced runs.
            statement!(
                "DELETE FROM sayiir_journal WHERE (run, branch, revision) IN (SELECT run, branch, revision FROM sayiir_journal \
                 WHERE run = (SELECT min(run) FROM sayiir_purge) LIMIT 200)"
            ),
            statement!(
                "DELETE FROM sayiir_purge WHERE run = (SELECT min(run) FROM sayiir_purge) \
                 AND NOT EXISTS (SELECT 1 FROM sayiir_journal j WHERE j.run = sayiir_purge.run)"
            ),
        ];
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

/// Keeps how long a session takes branches for: as it last said.
pub(super) fn remember_ttl(lease: LeaseId, ttl: Duration) -> Statement {
    let micros = i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX);
    statement!("UPDATE sayiir_session SET ttl = ?2 WHERE lease = ?1 AND ttl IS NOT ?2", lease, micros)
}
