//! Events in groups: one statement stores them, and one more of the same transaction wakes those who wait for them.
//!
//! Invariant: of each instance, what is stored, told and woken is what its events would have come to one after the other, in the order
//! in which they came. Those of an instance that has ended, or that others make or delete at the same time, go on alone, and so do all of a
//! group that met an error: of them, no order is kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use sayiir_persistence::{NewEvent, SendOutcome};
use sqlx::Row;

use crate::core::Mode;
use crate::fault::{Fault, Outcome};
use crate::groups::Grouped;
use crate::ops::events;
use crate::rows::{maybe_number, most, run, time};
use crate::tx::Tx;

pub(crate) const SEND: &str = include_str!("sql/send.sql");

impl Grouped for NewEvent {
    type Answer = SendOutcome;
    const MODE: Mode = Mode::Write;

    fn extent(&self) -> (&str, usize) {
        (&self.instance_id, self.payload.len())
    }

    fn together<'t>(tx: &'t mut Tx<'_>, events: &'t [Arc<Self>]) -> BoxFuture<'t, Outcome<Vec<Option<SendOutcome>>>> {
        Box::pin(send(tx, events))
    }

    fn alone<'t>(&'t self, tx: &'t mut Tx<'_>, _: bool) -> BoxFuture<'t, Outcome<SendOutcome>> {
        Box::pin(events::send(tx, self))
    }
}

async fn send(tx: &mut Tx<'_>, events: &[Arc<NewEvent>]) -> Outcome<Vec<Option<SendOutcome>>> {
    let ids: Vec<&str> = events.iter().map(|event| &*event.instance_id).collect();
    let names: Vec<&str> = events.iter().map(|event| &*event.name).collect();
    let keys: Vec<Option<&str>> = events.iter().map(|event| event.key.as_deref()).collect();
    let payloads: Vec<&[u8]> = events.iter().map(|event| &*event.payload).collect();
    let asked = sqlx::query(SEND).bind(tx.given()).bind(most(events.len())).bind(ids).bind(names).bind(keys).bind(payloads);
    let mut outcomes = vec![None; events.len()];
    let mut awaited = BTreeSet::new();
    for row in asked.fetch_all(&mut *tx.conn).await? {
        tx.now = time(&row, "now")?;
        let ord: i64 = row.try_get("ord")?;
        let place = usize::try_from(ord - 1).ok().and_then(|index| events.get(index).zip(outcomes.get_mut(index)));
        let (event, outcome) = place.ok_or_else(|| Fault::corrupt(format!("event {ord} of {} was answered", events.len())))?;
        let seq = maybe_number(&row, "seq")?;
        if seq.is_some() && row.try_get("goes_on")? {
            awaited.insert((run(&row)?, &*event.name));
            tx.news.instance(&event.instance_id);
        }
        *outcome = Some(seq.map_or(SendOutcome::Duplicate, SendOutcome::Stored));
    }
    events::wake(tx, awaited).await?;
    Ok(outcomes)
}
