//! Worker sessions: their lease numbers, processes and lease lengths.

use std::time::Duration;

use sayiir_core::branch::LeaseId;
use sayiir_persistence::Process;

use crate::fault::Outcome;
use crate::rows::{Col, col};
use crate::tx::{Look, Tx, execute, first, next_number, rows};

/// A lease's length where a session has never named one.
const DEFAULT_TTL: Duration = Duration::from_secs(30);

pub(crate) fn open(tx: &Tx, process: &Process) -> Outcome<LeaseId> {
    let lease = LeaseId(next_number(&tx.conn, "lease")?);
    let Process { host, pid, started, worker_id } = process;
    let sql = "INSERT INTO session (lease, host, pid, started, worker_id) VALUES (?1, ?2, ?3, ?4, ?5)";
    // As bytes: a start time may use all 64 bits.
    execute(&tx.conn, sql, (Col(lease), host, pid, started.to_be_bytes(), worker_id))?;
    Ok(lease)
}

pub(crate) fn on_host(look: Look<'_>, host: &str) -> Outcome<Vec<(LeaseId, Process)>> {
    let sql = "SELECT s.* FROM (SELECT DISTINCT lease FROM branch WHERE lease IS NOT NULL) l JOIN session s ON s.lease = l.lease \
               WHERE s.host = ?1 ORDER BY s.lease";
    rows(look.conn, sql, [host], |row| {
        let started: [u8; 8] = row.get("started")?;
        let process = Process {
            host: row.get("host")?,
            pid: row.get("pid")?,
            started: u64::from_be_bytes(started),
            worker_id: row.get("worker_id")?,
        };
        Ok((col(row, "lease")?, process))
    })
}

/// How long the holder of a lease takes branches for: as it last said.
pub(crate) fn ttl(tx: &mut Tx, lease: LeaseId) -> Outcome<Duration> {
    if let Some(ttl) = tx.memo.ttls.get(&lease) {
        return Ok(*ttl);
    }
    let stored: Option<u64> = first(&tx.conn, "SELECT ttl FROM session WHERE lease = ?1", [Col(lease)], |row| row.get(0))?.flatten();
    let ttl = stored.map_or(DEFAULT_TTL, Duration::from_micros);
    tx.memo.ttls.insert(lease, ttl);
    Ok(ttl)
}

pub(crate) fn remember_ttl(tx: &mut Tx, lease: LeaseId, ttl: Duration) -> Outcome<()> {
    if tx.memo.ttls.get(&lease) != Some(&ttl) {
        let micros = i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX);
        execute(&tx.conn, "UPDATE session SET ttl = ?2 WHERE lease = ?1 AND ttl IS NOT ?2", (Col(lease), micros))?;
        tx.memo.ttls.insert(lease, ttl);
    }
    Ok(())
}
