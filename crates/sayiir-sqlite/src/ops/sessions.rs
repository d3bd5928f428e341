//! Worker sessions: their lease numbers, processes and lease lengths.

use std::time::Duration;

use rusqlite::Row;
use sayiir_core::branch::LeaseId;
use sayiir_persistence::{CALL_IDLE, FORGOTTEN_AT_ONCE, Process, SEEN_EVERY, SESSION_IDLE, UNNAMED_TTL};

use crate::fault::Outcome;
use crate::rows::{Col, col};
use crate::tx::{Look, Tx, execute, first, next_number, rows};
use crate::writer::BEFORE_TIME;

pub(crate) fn open(tx: &Tx, process: &Process) -> Outcome<LeaseId> {
    forget(tx)?;
    let lease = LeaseId(next_number(&tx.conn, "lease")?);
    let Process { host, pid, started, worker_id } = process;
    let sql = "INSERT INTO session (lease, host, pid, started, worker_id, seen_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    // As bytes: a start time may use all 64 bits.
    execute(&tx.conn, sql, (Col(lease), host, pid, started.to_be_bytes(), worker_id, Col(tx.now)))?;
    Ok(lease)
}

/// Forgets some of the sessions that hold nothing and were not seen for long.
fn forget(tx: &Tx) -> Outcome<()> {
    let sql = "DELETE FROM session WHERE lease IN (SELECT s.lease FROM session s INDEXED BY session_seen \
               WHERE s.seen_at <= ?1 AND (s.pid = 0 OR s.seen_at <= ?2) \
               AND NOT EXISTS (SELECT 1 FROM branch b WHERE b.lease = s.lease) ORDER BY s.seen_at LIMIT ?3)";
    let most = i64::try_from(FORGOTTEN_AT_ONCE).unwrap_or(i64::MAX);
    execute(&tx.conn, sql, (Col(tx.now - CALL_IDLE), Col(tx.now - SESSION_IDLE), most))?;
    Ok(())
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

pub(crate) fn process(row: &Row<'_>) -> rusqlite::Result<Process> {
    let started: [u8; 8] = row.get("started")?;
    Ok(Process { host: row.get("host")?, pid: row.get("pid")?, started: u64::from_be_bytes(started), worker_id: row.get("worker_id")? })
}

pub(crate) fn on_host(look: Look<'_>, host: &str) -> Outcome<Vec<(LeaseId, Process)>> {
    let sql = "SELECT s.* FROM (SELECT DISTINCT lease FROM branch WHERE lease IS NOT NULL) l JOIN session s ON s.lease = l.lease \
               WHERE s.host = ?1 ORDER BY s.lease";
    rows(look.conn, sql, [host], |row| Ok((col(row, "lease")?, process(row)?)))
}

/// How long the holder of a lease takes branches for: as it last said.
pub(crate) fn ttl(tx: &mut Tx, lease: LeaseId) -> Outcome<Duration> {
    if let Some((ttl, _)) = tx.memo.ttls.get(&lease) {
        return Ok(*ttl);
    }
    let stored: Option<u64> = first(&tx.conn, "SELECT ttl FROM session WHERE lease = ?1", [Col(lease)], |row| row.get(0))?.flatten();
    let ttl = stored.map_or(UNNAMED_TTL, Duration::from_micros);
    tx.memo.ttls.insert(lease, (ttl, BEFORE_TIME));
    Ok(ttl)
}

/// Remembers for how long a session takes leases, and that it was seen, if that is news.
pub(crate) fn remember_ttl(tx: &mut Tx, lease: LeaseId, ttl: Duration) -> Outcome<()> {
    if tx.memo.ttls.get(&lease).is_some_and(|(known, seen)| *known == ttl && *seen + SEEN_EVERY > tx.now) {
        return Ok(());
    }
    let sql = "UPDATE session SET ttl = ?2, seen_at = ?3 WHERE lease = ?1 AND (ttl IS NOT ?2 OR seen_at <= ?4)";
    execute(&tx.conn, sql, (Col(lease), micros(ttl), Col(tx.now), Col(tx.now - SEEN_EVERY)))?;
    tx.memo.ttls.insert(lease, (ttl, tx.now));
    Ok(())
}
