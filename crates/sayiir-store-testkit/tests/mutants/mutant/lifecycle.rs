//! Starts, rewinds, imports and purges that a mutant gets wrong.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sayiir_core::attribute::SearchAttributes;
use sayiir_core::branch::Placement;
use sayiir_core::control::SignalRequest;
use sayiir_core::workflow::{ConflictPolicy, WorkflowStatus};
use sayiir_persistence::{
    ControlAction, ControlCommand, Import, ImportOutcome, InstanceFilter, InstanceRecord, NewEvent, PurgeRequest, Purgeable, Rewind,
    RewindOutcome, RunState, StartOutcome, StartRun, Store, StoreError,
};

use super::{Bug, Mutant};

impl Mutant {
    pub(super) async fn mis_start(&self, mut request: StartRun) -> Result<StartOutcome, StoreError> {
        let terminates = request.policy == ConflictPolicy::TerminateExisting;
        let mut buffered = None;
        match self.bug {
            Bug::NonceIgnored => request.nonce = self.numbers.fetch_add(1, Ordering::SeqCst).into(),
            Bug::PolicyFirst if request.policy == ConflictPolicy::Fail && self.record(&request.instance_id).await.is_some() => {
                return Ok(StartOutcome::AlreadyExists);
            }
            Bug::TerminateIsFail if terminates => request.policy = ConflictPolicy::Fail,
            Bug::TerminateIsDelete if terminates => {
                self.inner.delete(&request.instance_id).await?;
            }
            Bug::TerminateKeepsEvents if terminates => buffered = self.inner.take_event(&request.instance_id, "go").await?,
            Bug::RootNotLeased => request.lease = None,
            Bug::TraceForgotten => request.trace = None,
            Bug::AttributesForgotten => request.attributes = SearchAttributes::new(),
            Bug::AttributesKept if terminates => {
                let old = self.record(&request.instance_id).await.map(|record| record.summary.attributes);
                request.attributes.extend(old.unwrap_or_default());
            }
            _ => {}
        }
        let id = Arc::clone(&request.instance_id);
        let outcome = self.inner.start(request).await?;
        if let Some(payload) = buffered {
            self.inner.put_event(NewEvent { instance_id: id, name: Arc::from("go"), payload, key: None }).await?;
        }
        Ok(match outcome {
            StartOutcome::Existing { status, .. } if self.has(Bug::UseExistingForgetsOutput) => {
                StartOutcome::Existing { status, output: None }
            }
            other => other,
        })
    }

    pub(super) async fn mis_import(&self, mut import: Import) -> Result<ImportOutcome, StoreError> {
        if self.has(Bug::ImportUnfenced) {
            import.expected = None;
        }
        Ok(match self.inner.import(import).await? {
            ImportOutcome::Forked { .. } if self.has(Bug::ImportUndoesForks) => ImportOutcome::Imported,
            ImportOutcome::Leased if self.has(Bug::ImportIgnoresLeases) => ImportOutcome::Imported,
            other => other,
        })
    }

    pub(super) async fn mis_purge(&self, mut request: PurgeRequest) -> Result<u64, StoreError> {
        match self.bug {
            Bug::PurgeIgnored => return Ok(0),
            Bug::UnclaimedKept if request.what == Purgeable::UnclaimedEvents => return Ok(0),
            Bug::PurgeIgnoresAge => request.older_than = Duration::ZERO,
            Bug::PurgeIgnoresLimit => request.limit = usize::MAX,
            Bug::PurgeIgnoresWorkflow => {
                if let Purgeable::Ended { workflow } = &mut request.what {
                    *workflow = None;
                }
            }
            Bug::PurgesThePaused => {
                let paused = InstanceFilter { states: vec![RunState::Paused], ..InstanceFilter::default() };
                for old in self.inner.list(paused).await? {
                    self.inner.delete(&old.instance_id).await?;
                }
            }
            Bug::PurgesMail => drop(self.inner.delete("mail only").await?),
            _ => {}
        }
        self.inner.purge(request).await
    }

    pub(super) async fn mis_rewind(&self, mut rewind: Rewind) -> Result<RewindOutcome, StoreError> {
        let id = Arc::clone(&rewind.instance_id);
        let before = self.record(&id).await;
        match self.bug {
            Bug::RewindIgnoresNonce => rewind.nonce = self.numbers.fetch_add(1, Ordering::SeqCst).into(),
            Bug::RewindIgnoresRun => rewind.expected = before.as_ref().map_or(rewind.expected, |record| record.summary.run),
            Bug::RewindKeepsLess => {
                rewind.keep = rewind.keep.min(2);
                rewind.input.revision = rewind.input.revision.min(2);
            }
            Bug::RewindForgetsPlacement => rewind.placement = Placement::default(),
            Bug::RewindForgetsWhy => rewind.request = SignalRequest::default(),
            Bug::RewindUsesEvents => drop(self.inner.take_event(&id, "go").await?),
            Bug::RewindIsStart => {
                let Some(record) = before else { return Ok(RewindOutcome::NotFound) };
                let InstanceRecord { summary, input, first_node, placement, .. } = record;
                let (definition, attributes, nonce) = (summary.definition, summary.attributes, rewind.nonce);
                let (policy, lease, trace) = (ConflictPolicy::TerminateExisting, None, None);
                let request =
                    StartRun { instance_id: id, definition, policy, input, first_node, placement, nonce, lease, trace, attributes };
                return Ok(match self.inner.start(request).await? {
                    StartOutcome::Fresh { run, .. } => RewindOutcome::Rewound { run },
                    _ => RewindOutcome::NotFound,
                });
            }
            _ => {}
        }
        let outcome = self.inner.rewind(rewind).await?;
        let paused = before.is_some_and(|before| matches!(before.summary.status, WorkflowStatus::Paused { .. }));
        if paused && self.has(Bug::RewindStaysPaused) {
            let (action, request) = (ControlAction::Pause, SignalRequest::default());
            self.inner.control(ControlCommand { instance_id: Arc::clone(&id), action, request }).await?;
        }
        Ok(outcome)
    }
}
