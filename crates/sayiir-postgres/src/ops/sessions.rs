//! Worker sessions: their lease numbers, processes and lease lengths.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use sayiir_core::branch::LeaseId;
use sayiir_core::time::{Clock as _, Timestamp};
use sayiir_persistence::{CALL_IDLE, FORGOTTEN_AT_ONCE, Process, SEEN_EVERY, SESSION_IDLE, SystemClock};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::fault::{Fault, Outcome};
use crate::rows::{clean, db, micros, most, number};
use crate::tx::{Tx, now};

pub(crate) async fn open(tx: &mut Tx<'_>, process: &Process) -> Outcome<LeaseId> {
    forget(tx).await?;
    let Process { host, pid, started, worker_id } = process;
    let sql = concat!(
        "INSERT INTO session (lease, seen_at, host, pid, started, worker_id) VALUES (nextval('lease_number'), ",
        now!(),
        ", $2, $3, $4, $5) RETURNING lease"
    );
    // As bytes: a start time may use all 64 bits.
    let asked = sqlx::query(sql)
        .bind(tx.given())
        .bind(clean(host))
        .bind(i64::from(*pid))
        .bind(started.to_be_bytes().to_vec())
        .bind(clean(worker_id));
    number(&asked.fetch_one(&mut *tx.conn).await?, "lease").map(LeaseId)
}

/// Forgets some of the sessions that hold nothing and were not seen for long.
async fn forget(tx: &mut Tx<'_>) -> Outcome<()> {
    let sql = concat!(
        "WITH c AS MATERIALIZED (SELECT ",
        now!(),
        " AS now), idle AS MATERIALIZED (SELECT s.lease FROM session s WHERE s.seen_at <= (SELECT now FROM c) - $2 \
         AND (s.pid = 0 OR s.seen_at <= (SELECT now FROM c) - $3) \
         AND NOT EXISTS (SELECT 1 FROM branch b WHERE b.lease = s.lease) ORDER BY s.seen_at LIMIT $4 FOR UPDATE SKIP LOCKED) \
         DELETE FROM session s USING idle WHERE s.lease = idle.lease"
    );
    let asked = sqlx::query(sql).bind(tx.given()).bind(micros(CALL_IDLE)).bind(micros(SESSION_IDLE)).bind(most(FORGOTTEN_AT_ONCE));
    asked.execute(&mut *tx.conn).await?;
    Ok(())
}

pub(crate) fn process(row: &PgRow) -> Outcome<Process> {
    let started: &[u8] = row.try_get("started")?;
    let started = <[u8; 8]>::try_from(started).map_err(|_| Fault::corrupt("a session's start is not a number"))?;
    Ok(Process {
        host: row.try_get("host")?,
        pid: u32::try_from(number(row, "pid")?).map_err(|_| Fault::corrupt("a session's process is not a number"))?,
        started: u64::from_be_bytes(started),
        worker_id: row.try_get("worker_id")?,
    })
}

pub(crate) async fn on_host(tx: &mut Tx<'_>, host: &str) -> Outcome<Vec<(LeaseId, Process)>> {
    let sql = "SELECT s.* FROM session s WHERE s.host = $1 AND EXISTS (SELECT 1 FROM branch b WHERE b.lease = s.lease) ORDER BY s.lease";
    let found = sqlx::query(sql).bind(clean(host)).fetch_all(&mut *tx.conn).await?;
    found.iter().map(|row| Ok((LeaseId(number(row, "lease")?), process(row)?))).collect()
}

/// The lease lengths that this process last named, and when: each is written once in a while, and not at every claim.
#[derive(Debug, Default)]
pub(crate) struct Ttls(Mutex<FxHashMap<LeaseId, (Duration, Timestamp)>>);

impl Ttls {
    fn named(&self) -> MutexGuard<'_, FxHashMap<LeaseId, (Duration, Timestamp)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps how long the holder of a lease takes branches for, and that it was seen, if that is news. It is a statement of its own, before
/// the operation that names it.
pub(crate) async fn remember_ttl(tx: &mut Tx<'_>, lease: LeaseId, ttl: Duration) -> Outcome<()> {
    // This process's own time will do: it only tells how long ago this was written.
    let now = tx.given.unwrap_or_else(|| SystemClock.now());
    if tx.memo.ttls.named().get(&lease).is_some_and(|(known, seen)| *known == ttl && *seen <= now && *seen + SEEN_EVERY > now) {
        return Ok(());
    }
    let sql = concat!(
        "UPDATE session SET ttl = $3, seen_at = ",
        now!(),
        " WHERE lease = $2 AND (ttl IS DISTINCT FROM $3 OR seen_at <= ",
        now!(),
        " - $4)"
    );
    let asked = sqlx::query(sql).bind(tx.given()).bind(db(lease.0)).bind(micros(ttl)).bind(micros(SEEN_EVERY));
    asked.execute(&mut *tx.conn).await?;
    tx.memo.ttls.named().insert(lease, (ttl, now));
    Ok(())
}
