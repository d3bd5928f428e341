//! The deep look: whether what each instance stands on is in its journal.

use std::collections::BTreeSet;

use sayiir::core::branch::{JournalRef, Phase};
use sayiir::core::journal::JournalRow;
use sayiir::persistence::{InstanceFilter, InstanceRecord, ListOrder, RunState};

use super::finding::{Finding, Kind};
use crate::ending::Failure;
use crate::store::OpenStore;

/// So many are listed at a time.
const AT_ONCE: usize = 500;

/// Looks at every instance that could go on.
pub(super) async fn look(store: &OpenStore) -> Result<Vec<Finding>, Failure> {
    let (mut findings, mut before) = (Vec::new(), None);
    loop {
        let page = store.client.list(InstanceFilter {
            states: vec![RunState::Running, RunState::Paused, RunState::Failed],
            order: ListOrder::NewestFirst { before },
            limit: Some(AT_ONCE),
            ..InstanceFilter::default()
        });
        let page = page.await?;
        for summary in &page {
            findings.extend(look_at(store, &summary.instance_id).await);
        }
        before = page.last().map(|last| last.run);
        if page.len() < AT_ONCE {
            return Ok(findings);
        }
    }
}

/// One that cannot be read is itself what was looked for.
async fn look_at(store: &OpenStore, id: &str) -> Vec<Finding> {
    let read = async {
        let record = store.client.backend().instance(id).await?;
        let journal = store.client.timeline(id).await?;
        anyhow::Ok(record.map(|record| (record, journal)))
    };
    match read.await {
        // It was deleted meanwhile.
        Ok(None) => Vec::new(),
        Ok(Some((record, journal))) => lost_rows(&record, &journal),
        Err(error) => {
            let advice = "restore the store from a copy that is whole; `sayiir delete` gives the instance up";
            vec![Finding::problem(Kind::Unreadable, format!("{id} cannot be read: {error:#}"), advice).at(id, "")]
        }
    }
}

/// What is referred to, and is not there.
fn lost_rows(record: &InstanceRecord, journal: &[JournalRow]) -> Vec<Finding> {
    let there: BTreeSet<JournalRef> = journal.iter().map(|row| JournalRef { branch: row.branch.clone(), revision: row.revision }).collect();
    // What a joining branch is given are its children's outputs.
    let heads = record.branches.iter().filter(|branch| branch.head.phase != Phase::Joining);
    let of_heads = heads.map(|branch| (&*branch.head.node, &branch.head.input));
    let of_rows = journal.iter().filter_map(|row| Some((&*row.node, row.same_as.as_ref()?)));
    let lost = of_heads.chain(of_rows).filter(|(_, wanted)| !there.contains(wanted));
    let id = &*record.summary.instance_id;
    let found = lost.map(|(node, JournalRef { branch, revision })| {
        let text = format!("{id} at {node}: the journal row {branch}.{revision}, which holds its input, is lost");
        let advice = format!("restore the store from a copy that is whole, or go back before it: `sayiir rewind {id} --to NODE`");
        Finding::problem(Kind::LostRow, text, advice).at(id, node)
    });
    found.collect()
}
