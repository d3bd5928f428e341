//! Worker sessions: their lease numbers, processes and lease lengths.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::FxHashMap;
use sayiir_core::branch::LeaseId;
use sayiir_persistence::Process;
use sqlx::Row;

use crate::fault::{Fault, Outcome};
use crate::rows::{clean, db, micros, number};
use crate::tx::Tx;

pub(crate) async fn open(tx: &mut Tx<'_>, process: &Process) -> Outcome<LeaseId> {
    let Process { host, pid, started, worker_id } = process;
    let sql = "INSERT INTO session (lease, host, pid, started, worker_id) VALUES (nextval('lease_number'), $1, $2, $3, $4) RETURNING lease";
    // As bytes: a start time may use all 64 bits.
    let asked = sqlx::query(sql).bind(clean(host)).bind(i64::from(*pid)).bind(started.to_be_bytes().to_vec()).bind(clean(worker_id));
    number(&asked.fetch_one(&mut *tx.conn).await?, "lease").map(LeaseId)
}

pub(crate) async fn on_host(tx: &mut Tx<'_>, host: &str) -> Outcome<Vec<(LeaseId, Process)>> {
    let sql = "SELECT s.* FROM session s WHERE s.host = $1 AND EXISTS (SELECT 1 FROM branch b WHERE b.lease = s.lease) ORDER BY s.lease";
    let found = sqlx::query(sql).bind(clean(host)).fetch_all(&mut *tx.conn).await?;
    let read = |row: &sqlx::postgres::PgRow| {
        let started: &[u8] = row.try_get("started")?;
        let started = <[u8; 8]>::try_from(started).map_err(|_| Fault::corrupt("a session's start is not a number"))?;
        let process = Process {
            host: row.try_get("host")?,
            pid: u32::try_from(number(row, "pid")?).map_err(|_| Fault::corrupt("a session's process is not a number"))?,
            started: u64::from_be_bytes(started),
            worker_id: row.try_get("worker_id")?,
        };
        Ok((LeaseId(number(row, "lease")?), process))
    };
    found.iter().map(read).collect()
}

/// The lease lengths that this process last named: each is written once, and not at every claim.
#[derive(Debug, Default)]
pub(crate) struct Ttls(Mutex<FxHashMap<LeaseId, Duration>>);

impl Ttls {
    fn named(&self) -> MutexGuard<'_, FxHashMap<LeaseId, Duration>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps how long the holder of a lease takes branches for. It is a statement of its own, before the operation that names it.
pub(crate) async fn remember_ttl(tx: &mut Tx<'_>, lease: LeaseId, ttl: Duration) -> Outcome<()> {
    if tx.memo.ttls.named().get(&lease) == Some(&ttl) {
        return Ok(());
    }
    let sql = "UPDATE session SET ttl = $2 WHERE lease = $1 AND ttl IS DISTINCT FROM $2";
    sqlx::query(sql).bind(db(lease.0)).bind(micros(ttl)).execute(&mut *tx.conn).await?;
    tx.memo.ttls.named().insert(lease, ttl);
    Ok(())
}
