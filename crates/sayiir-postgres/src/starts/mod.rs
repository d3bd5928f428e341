//! Starts in groups.
//!
//! Invariant: a group writes only under ids of which nothing is known. A start that meets something goes on alone.

mod fresh;

#[cfg(test)]
pub(crate) use fresh::START;
pub(crate) use fresh::{Begun, New, begin};

use std::sync::Arc;

use futures_util::future::BoxFuture;
use rustc_hash::FxHashSet;
use sayiir_core::workflow::ConflictPolicy;
use sayiir_persistence::{StartOutcome, StartRun};

use crate::core::Mode;
use crate::fault::Outcome;
use crate::groups::Grouped;
use crate::ops::{sessions, start};
use crate::tx::Tx;

impl Grouped for StartRun {
    type Answer = StartOutcome;
    const MODE: Mode = Mode::Single;

    fn extent(&self) -> (&str, usize) {
        (&self.instance_id, self.input.len())
    }

    fn together<'t>(tx: &'t mut Tx<'_>, requests: &'t [Arc<Self>]) -> BoxFuture<'t, Outcome<Vec<Option<StartOutcome>>>> {
        Box::pin(start_new(tx, requests))
    }

    fn alone<'t>(&'t self, tx: &'t mut Tx<'_>, unusual: bool) -> BoxFuture<'t, Outcome<StartOutcome>> {
        // Something is likely to be known of the id.
        let meets = unusual && self.policy != ConflictPolicy::TerminateExisting;
        Box::pin(start::start(tx, self, meets))
    }
}

/// Starts the first of each id in one statement (and those that come before it where this process does not know a definition, a lane
/// or a lease yet). The others will meet what it starts.
async fn start_new(tx: &mut Tx<'_>, requests: &[Arc<StartRun>]) -> Outcome<Vec<Option<StartOutcome>>> {
    let mut ids = FxHashSet::default();
    let mut members = Vec::with_capacity(requests.len());
    let mut places = Vec::with_capacity(requests.len());
    for (place, request) in requests.iter().enumerate() {
        if !ids.insert(&request.instance_id) {
            continue;
        }
        if let Some((lease, ttl)) = request.lease {
            sessions::remember_ttl(tx, lease, ttl).await?;
        }
        let (definition, lane) = tx.memo.numbers.of(tx.conn, &request.definition, &request.placement).await?;
        members.push(New { definition, lane, request });
        places.push(place);
    }
    let mut outcomes: Vec<Option<StartOutcome>> = requests.iter().map(|_| None).collect();
    for ((place, begun), New { request, .. }) in places.into_iter().zip(begin(tx, &members).await?).zip(members) {
        if let (Begun::Fresh(run), Some(outcome)) = (begun, outcomes.get_mut(place)) {
            *outcome = Some(start::fresh(tx, run, request));
        }
    }
    Ok(outcomes)
}
