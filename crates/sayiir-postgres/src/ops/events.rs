//! Events: stored under a rising number, kept in order by name, used once.

use bytes::Bytes;
use sayiir_core::branch::RunNumber;
use sayiir_persistence::{NewEvent, RunState, SendOutcome, StoreError};

use crate::fault::{Fault, Outcome};
use crate::ops::queries;
use crate::rows::{InstanceRow, bytes, db, number};
use crate::tx::Tx;

/// Makes the free branches that await one of these events due; leased ones learn by the mail count. It looks at no other branch.
pub(crate) const WAKE: &str = "WITH l AS MATERIALIZED (SELECT b.run, b.branch FROM unnest($1::bigint[], $2::text[]) x (run, name) \
     JOIN branch b ON b.run = x.run AND b.awaits = x.name WHERE b.lease IS NULL ORDER BY b.run, b.branch FOR NO KEY UPDATE OF b) \
     UPDATE branch b SET run_at = $3 FROM l WHERE b.run = l.run AND b.branch = l.branch";

/// Wakes those who wait for an event of a name, by runs that go on. Whoever does holds the rows of their instances, in a statement
/// that began before.
pub(crate) async fn wake(tx: &mut Tx<'_>, awaited: impl IntoIterator<Item = (RunNumber, &str)>) -> Outcome<()> {
    let (runs, names): (Vec<i64>, Vec<&str>) = awaited.into_iter().map(|(run, name)| (db(run.0), name)).unzip();
    if !runs.is_empty() {
        let woken = sqlx::query(WAKE).bind(runs).bind(names).bind(tx.now.as_micros()).execute(&mut *tx.conn).await?;
        tx.news.due |= woken.rows_affected() > 0;
    }
    Ok(())
}

/// Makes the row of an id that has only events. Its number becomes its first run's.
const EXPECT: &str = "INSERT INTO instance (run, instance_id, status, created_at, updated_at) VALUES (nextval('run_number'), $1, 0, $2, $2) \
     ON CONFLICT (instance_id) DO NOTHING";

pub(crate) async fn send(tx: &mut Tx<'_>, event: &NewEvent) -> Outcome<SendOutcome> {
    let NewEvent { instance_id, name, payload, key } = event;
    let instance = expect(tx, instance_id).await?;
    if let Some(outcome) = refusal(tx, &instance, key.as_deref()).await? {
        return Ok(outcome);
    }
    let run = db(instance.run.0);
    let sql = "UPDATE instance SET mail = mail + 1 WHERE instance_id = $1 RETURNING mail";
    let seq = number(&sqlx::query(sql).bind(&**instance_id).fetch_one(&mut *tx.conn).await?, "mail")?;
    let sql = "INSERT INTO event (run, name, seq, at, payload) VALUES ($1, $2, $3, $4, $5)";
    let insert = sqlx::query(sql).bind(run).bind(&**name).bind(db(seq)).bind(tx.now.as_micros()).bind(&**payload);
    insert.execute(&mut *tx.conn).await?;
    if let Some(key) = key {
        sqlx::query("INSERT INTO event_key VALUES ($1, $2)").bind(run).bind(&**key).execute(&mut *tx.conn).await?;
    }
    if instance.state() == Some(RunState::Running) {
        wake(tx, [(instance.run, &**name)]).await?;
        tx.news.instance(instance_id);
    }
    Ok(SendOutcome::Stored(seq))
}

/// The instance's row, locked; made if the id is unknown.
async fn expect(tx: &mut Tx<'_>, instance_id: &str) -> Outcome<InstanceRow> {
    for _ in 0..100 {
        if let Some(instance) = tx.lock(instance_id).await? {
            return Ok(instance);
        }
        // Somebody may delete it again before it is locked.
        sqlx::query(EXPECT).bind(instance_id).bind(tx.now.as_micros()).execute(&mut *tx.conn).await?;
    }
    Err(Fault::Store(StoreError::unavailable(format!("instance {instance_id:?} is deleted again and again; ask again"))))
}

/// A repeated send is told so even after the instance has ended: its first send was accepted.
async fn refusal(tx: &mut Tx<'_>, instance: &InstanceRow, key: Option<&str>) -> Outcome<Option<SendOutcome>> {
    if let Some(key) = key {
        let sql = "SELECT 1 FROM event_key WHERE run = $1 AND key = $2";
        if sqlx::query(sql).bind(db(instance.run.0)).bind(key).fetch_optional(&mut *tx.conn).await?.is_some() {
            return Ok(Some(SendOutcome::Duplicate));
        }
    }
    match instance.state() {
        None | Some(RunState::Running | RunState::Paused) => Ok(None),
        Some(RunState::Completed | RunState::Failed | RunState::Cancelled) => {
            Ok(Some(SendOutcome::Finished(queries::status(tx, instance).await?)))
        }
    }
}

pub(crate) async fn read(tx: &mut Tx<'_>, instance_id: &str, name: &str, seq: u64) -> Outcome<Option<Bytes>> {
    let sql = "SELECT e.payload FROM instance i JOIN event e ON e.run = i.run WHERE i.instance_id = $1 AND e.name = $2 AND e.seq = $3";
    let row = sqlx::query(sql).bind(instance_id).bind(name).bind(db(seq)).fetch_optional(&mut *tx.conn).await?;
    row.as_ref().map_or(Ok(None), |row| bytes(row, "payload"))
}

/// Takes the first event of a name. Two takers get two events: the instance's row is locked first.
pub(crate) async fn take(tx: &mut Tx<'_>, instance_id: &str, name: &str) -> Outcome<Option<Bytes>> {
    let Some(instance) = tx.lock(instance_id).await? else { return Ok(None) };
    let sql = "WITH e AS MATERIALIZED (SELECT run, name, seq FROM event WHERE run = $1 AND name = $2 ORDER BY seq LIMIT 1) \
               DELETE FROM event USING e WHERE event.run = e.run AND event.name = e.name AND event.seq = e.seq RETURNING event.payload";
    let row = sqlx::query(sql).bind(db(instance.run.0)).bind(name).fetch_optional(&mut *tx.conn).await?;
    row.as_ref().map_or(Ok(None), |row| bytes(row, "payload"))
}

/// Deletes a run's events and their keys.
pub(crate) async fn delete_all(tx: &mut Tx<'_>, run: RunNumber) -> Outcome<()> {
    sqlx::query("DELETE FROM event WHERE run = $1").bind(db(run.0)).execute(&mut *tx.conn).await?;
    sqlx::query("DELETE FROM event_key WHERE run = $1").bind(db(run.0)).execute(&mut *tx.conn).await?;
    Ok(())
}
