//! Events: stored under a rising number, kept in order by name, used once.

use bytes::Bytes;
use sayiir_core::branch::RunNumber;
use sayiir_persistence::{NewEvent, RunState, SendOutcome};

use crate::fault::Outcome;
use crate::ops::queries;
use crate::rows::{Col, InstanceRow, find_instance};
use crate::tx::{Look, Tx, execute, first, next_number};

/// Makes every free branch that awaits the event due; leased ones learn by the mail count. Looks at no other branch.
pub(crate) const WAKE: &str = "UPDATE branch INDEXED BY branch_awaiting SET run_at = ?3 WHERE run = ?1 AND awaits = ?2 AND lease IS NULL";

pub(crate) fn send(tx: &mut Tx, event: &NewEvent) -> Outcome<SendOutcome> {
    let NewEvent { instance_id, name, payload, key } = event;
    let known = find_instance(&tx.conn, instance_id)?;
    if let Some(instance) = &known
        && let Some(outcome) = refusal(tx, instance, key.as_deref())?
    {
        return Ok(outcome);
    }
    let run = known.as_ref().map_or_else(|| expect(tx, instance_id), |instance| Ok(instance.run))?;
    let seq = known.as_ref().map_or(0, |instance| instance.mail) + 1;
    execute(&tx.conn, "UPDATE instance SET mail = ?2 WHERE run = ?1", (Col(run), seq))?;
    let sql = "INSERT INTO event (run, name, seq, at, payload) VALUES (?1, ?2, ?3, ?4, ?5)";
    execute(&tx.conn, sql, (Col(run), name, seq, Col(tx.now), payload.as_ref()))?;
    if let Some(key) = key {
        execute(&tx.conn, "INSERT INTO event_key VALUES (?1, ?2)", (Col(run), key))?;
    }
    if known.is_some_and(|instance| instance.state() == Some(RunState::Running)) {
        tx.news.due |= execute(&tx.conn, WAKE, (Col(run), name, Col(tx.now)))? > 0;
        tx.news.instance(instance_id);
    }
    Ok(SendOutcome::Stored(seq))
}

/// A repeated send is told so even after the instance has ended: its first send was accepted.
fn refusal(tx: &Tx, instance: &InstanceRow, key: Option<&str>) -> Outcome<Option<SendOutcome>> {
    if let Some(key) = key {
        let sql = "SELECT 1 FROM event_key WHERE run = ?1 AND key = ?2";
        if first(&tx.conn, sql, (Col(instance.run), key), |_| Ok(()))?.is_some() {
            return Ok(Some(SendOutcome::Duplicate));
        }
    }
    match instance.state() {
        None | Some(RunState::Running | RunState::Paused) => Ok(None),
        Some(RunState::Completed | RunState::Failed | RunState::Cancelled) => {
            Ok(Some(SendOutcome::Finished(queries::status(tx.look(), instance)?)))
        }
    }
}

/// Makes the row of an id that has only events. Its number becomes its first run's.
fn expect(tx: &Tx, instance_id: &str) -> Outcome<RunNumber> {
    let run = RunNumber(next_number(&tx.conn, "run")?);
    let sql = "INSERT INTO instance (run, instance_id, status, created_at, updated_at) VALUES (?1, ?2, 0, ?3, ?3)";
    execute(&tx.conn, sql, (Col(run), instance_id, Col(tx.now)))?;
    Ok(run)
}

fn payload(row: &rusqlite::Row<'_>) -> rusqlite::Result<Bytes> {
    row.get::<_, Vec<u8>>("payload").map(Bytes::from)
}

pub(crate) fn read(look: Look<'_>, instance_id: &str, name: &str, seq: u64) -> Outcome<Option<Bytes>> {
    let sql = "SELECT e.payload FROM instance i JOIN event e ON e.run = i.run WHERE i.instance_id = ?1 AND e.name = ?2 AND e.seq = ?3";
    first(look.conn, sql, (instance_id, name, seq), payload)
}

pub(crate) fn take(tx: &Tx, instance_id: &str, name: &str) -> Outcome<Option<Bytes>> {
    let sql = "DELETE FROM event WHERE (run, name, seq) = (SELECT e.run, e.name, e.seq FROM instance i JOIN event e ON e.run = i.run \
               WHERE i.instance_id = ?1 AND e.name = ?2 ORDER BY e.seq LIMIT 1) RETURNING payload";
    first(&tx.conn, sql, (instance_id, name), payload)
}
