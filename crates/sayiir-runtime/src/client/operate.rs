//! What operators ask for: lists, rewind, purge, counts and health.

use std::sync::Arc;
use std::time::Duration;

use sayiir_core::branch::{BranchId, Placement, RunNumber};
use sayiir_core::control::SignalRequest;
use sayiir_core::future::{MaybeSend, MaybeSync};
use sayiir_core::plan::{Place, Plan};
use sayiir_core::workflow::Workflow;
use sayiir_engine::{RewindError, check_rewind, rewind_point};
use sayiir_persistence::{
    BackendError, InstanceFilter, InstanceSummary, PurgeRequest, Purgeable, Rewind, RewindOutcome, Store, StoreHealth, StoreStats,
};

use tokio::time::Instant;

use super::{WorkflowClient, not_found};
use crate::checkpointing::runnable;
use crate::error::RuntimeError;
use crate::mismatch::mismatch;
use crate::start::nonce;

/// So many instances are removed in one write.
const BATCH: usize = 100;
/// So often a rewind is asked for again if no answer came, or if the instance was replaced while its journal was read.
const TRIES: usize = 3;

/// A rewind that is to be done: see [`WorkflowClient::rewind`].
#[must_use = "nothing is rewound before it is sent"]
pub struct Rewinding<'a, B> {
    client: &'a WorkflowClient<B>,
    instance_id: &'a str,
    to: &'a str,
    plan: Option<Arc<dyn sayiir_core::workflow::RunnableWorkflow>>,
    request: SignalRequest,
}

impl<B: Store> WorkflowClient<B> {
    /// Instances, filtered, in order of their ids or the newest first.
    ///
    /// # Errors
    ///
    /// If the store cannot be asked, or if the filter compares what has no order.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sayiir_runtime::persistence::{AgeRange, ListOrder, RunState};
    /// use sayiir_runtime::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// # let client = WorkflowClient::new(InMemoryBackend::new());
    /// // What failed for want of money within the last day, the newest first.
    /// let filter = InstanceFilter {
    ///     states: vec![RunState::Failed],
    ///     error_contains: Some("no money".into()),
    ///     updated: AgeRange { at_least: None, at_most: Some(Duration::from_hours(24)) },
    ///     order: ListOrder::NewestFirst { before: None },
    ///     ..InstanceFilter::default()
    /// };
    /// let page = client.list(filter.clone()).await?;
    /// if let Some(last) = page.last() {
    ///     let order = ListOrder::NewestFirst { before: Some(last.run) };
    ///     client.list(InstanceFilter { order, ..filter }).await?; // the next page
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn list(&self, filter: InstanceFilter) -> Result<Vec<InstanceSummary>, RuntimeError> {
        Ok(self.backend.list(filter).await?)
    }

    /// A new run of an instance that begins at the node `to` of the old one, with the results before it: whatever is before the
    /// node does not run again, and the node and all behind it do. It may be running, paused or ended. The old run is
    /// ended and replaced, as [`ConflictPolicy::TerminateExisting`](sayiir_core::workflow::ConflictPolicy) does; what its workers still write is refused.
    ///
    /// `to` is a node path as [`timeline`](Self::timeline) shows it; without the iterations of the loops around it, it means the first time. A loop
    /// or an inlined workflow begins at its first node. What stands inside a fork cannot be rewound to, but the fork can.
    ///
    /// Waiting events, search attributes and the trace stay. An event that the old run used is used: if the new run waits
    /// for it again, send it again. Tasks see another run number, so their idempotency keys are new.
    ///
    /// ```
    /// use sayiir_runtime::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// let order = workflow! { name: "order", steps: [price(pieces: u32) { 7 * pieces }, charge(euros: u32) { euros }] }?;
    /// let (store, runner) = { let store = InMemoryBackend::new(); (store.clone(), CheckpointingRunner::new(store)) };
    /// runner.run(&order, "order-17", 3).await?;
    ///
    /// let client = WorkflowClient::new(store);
    /// client.rewind("order-17", "charge").of(&order).reason("charged to the wrong card").send().await?;
    /// runner.resume(&order, "order-17").await?; // or a worker, in any process
    /// assert_eq!(client.wait_for(&order, "order-17", None).await?, 21);
    /// let nodes: Vec<_> = client.timeline("order-17").await?.iter().map(|row| (row.kind.as_str(), row.node.to_string())).collect();
    /// let expected = [("started", "price"), ("task_completed", "price"), ("rewound", "charge"), ("task_completed", "charge")];
    /// assert_eq!(nodes, expected.map(|(kind, node)| (kind, node.to_owned())));
    /// # Ok(())
    /// # }
    /// ```
    pub fn rewind<'a>(&'a self, instance_id: &'a str, to: &'a str) -> Rewinding<'a, B> {
        Rewinding { client: self, instance_id, to, plan: None, request: SignalRequest::default() }
    }

    /// Removes instances that ended at least `ended_for` ago (of one workflow, if it is named) with all they have, in small
    /// batches that hold up nobody else for long. Failed instances have ended, too; what ends after the purge has begun is left. Returns how many.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sayiir_runtime::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// let order = workflow! { name: "order", steps: [charge(euros: u32) { euros }] }?;
    /// let store = InMemoryBackend::new();
    /// CheckpointingRunner::new(store.clone()).run(&order, "order-17", 5).await?;
    /// let client = WorkflowClient::new(store);
    /// assert_eq!(client.purge(Some("order"), Duration::from_hours(24)).await?, 0, "it ended just now");
    /// assert_eq!(client.purge(None, Duration::ZERO).await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the store cannot be asked; what was removed before stays removed.
    pub async fn purge(&self, workflow: Option<&str>, ended_for: Duration) -> Result<u64, RuntimeError> {
        self.purge_all(Purgeable::Ended { workflow: workflow.map(str::to_owned) }, ended_for).await
    }

    /// Removes what was sent to ids that never began, with the dedup keys, where the first event, and every one that still waits, came at least
    /// `older_than` ago. An instance that begins under such an id later waits for its event anew. Returns how many ids there were.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sayiir_runtime::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// let client = WorkflowClient::new(InMemoryBackend::new());
    /// client.send_event("ordre-17", "approved", "yes").await?; // a slip: nobody ever starts it
    /// assert_eq!(client.purge_unclaimed_events(Duration::from_hours(24)).await?, 0, "its instance may still begin");
    /// assert_eq!(client.purge_unclaimed_events(Duration::ZERO).await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the store cannot be asked; what was removed before stays removed.
    pub async fn purge_unclaimed_events(&self, older_than: Duration) -> Result<u64, RuntimeError> {
        self.purge_all(Purgeable::UnclaimedEvents, older_than).await
    }

    async fn purge_all(&self, what: Purgeable, older_than: Duration) -> Result<u64, RuntimeError> {
        let (begun, mut removed) = (Instant::now(), 0);
        loop {
            // What grows old meanwhile is left to the next purge: on a busy store this one would never be done.
            let older_than = older_than.saturating_add(begun.elapsed());
            let request = PurgeRequest { what: what.clone(), older_than, limit: BATCH };
            let some = self.backend.purge(request).await?;
            removed += some;
            if some < BATCH as u64 {
                return Ok(removed);
            }
            tokio::task::yield_now().await;
        }
    }

    /// Removes an instance, whatever its state, with all it has. False if the id is unknown.
    ///
    /// # Errors
    ///
    /// If the store cannot be asked.
    pub async fn delete(&self, instance_id: &str) -> Result<bool, RuntimeError> {
        Ok(self.backend.delete(instance_id).await?)
    }

    /// How much there is of what: instances by workflow and state, branches by what they do.
    ///
    /// # Errors
    ///
    /// If the store cannot be asked.
    ///
    /// ```
    /// use sayiir_runtime::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// let order = workflow! { name: "order", steps: [charge(euros: u32) { euros }] }?;
    /// let client = WorkflowClient::new(InMemoryBackend::new());
    /// client.submit(&order, "order-17", 5).await?;
    /// let stats = client.stats().await?;
    /// assert_eq!((&*stats.workflows[0].workflow, stats.workflows[0].running, stats.branches.due), ("order", 1, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn stats(&self) -> Result<StoreStats, RuntimeError> {
        let stats = self.backend.stats().await?;
        // An exporter that is asked for figures asks for these first.
        #[cfg(feature = "metrics")]
        #[allow(clippy::cast_precision_loss, reason = "a gauge is a float, and there are fewer than 2^53 branches")]
        metrics::gauge!(crate::metrics::BRANCHES_DUE).set(stats.branches.due as f64);
        Ok(stats)
    }

    /// What may be wrong: work that nobody takes, leases that nobody renews, branches that lost their workers or cannot be read.
    ///
    /// # Errors
    ///
    /// If the store cannot be asked.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sayiir_runtime::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// # let client = WorkflowClient::new(InMemoryBackend::new());
    /// for lane in client.health().await?.lanes {
    ///     if lane.oldest > Duration::from_mins(5) {
    ///         println!("{} branches of {} wait for a worker of {:?}", lane.due, lane.definition.name, lane.tags);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn health(&self) -> Result<StoreHealth, RuntimeError> {
        Ok(self.backend.health().await?)
    }
}

impl<B: Store> Rewinding<'_, B> {
    /// With the workflow at hand, the node is known to be one of it, and its task's tags and priority decide who may take it.
    /// Without, any worker that knows the definition may, and one that does not serve the task's tags hands it on.
    pub fn of<C, Input, M, Out>(mut self, workflow: &Workflow<C, Input, M, Out>) -> Self
    where
        C: sayiir_core::codec::Codec,
        Input: 'static,
        M: MaybeSend + MaybeSync + 'static,
        Out: 'static,
    {
        self.plan = Some(runnable(workflow));
        self
    }

    /// Why; it is journaled.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.request.reason = Some(reason.into());
        self
    }

    /// By whom; it is journaled.
    pub fn by(mut self, name: impl Into<String>) -> Self {
        self.request.requested_by = Some(name.into());
        self
    }

    /// Does it, and gives the new run's number. If no answer comes it is asked again, which is safe.
    ///
    /// # Errors
    ///
    /// `CannotRewind` if the workflow has no such node, the run never came there, or it stands inside a fork (the error names
    /// it); the mismatch if the instance is of another definition; `NotFound` if the id is unknown.
    pub async fn send(self) -> Result<RunNumber, RuntimeError> {
        let Self { client, instance_id, to, plan, request } = self;
        let plan = plan.as_ref().map(|workflow| workflow.plan());
        if let Some(plan) = plan {
            check_rewind(plan, to).map_err(|error| cannot(instance_id, &error))?;
        }
        let nonce = nonce();
        let mut tries = 0;
        loop {
            tries += 1;
            let rewind = client.point(instance_id, to, plan, nonce, &request).await?;
            match client.backend.rewind(rewind).await {
                Ok(RewindOutcome::Rewound { run }) => return Ok(run),
                Ok(RewindOutcome::NotFound) => return Err(not_found(instance_id)),
                Ok(RewindOutcome::Moved { run: _ }) if tries < TRIES => {}
                Err(error) if error.is_transient() && tries < TRIES => {}
                Ok(RewindOutcome::Moved { run }) => {
                    let text = format!("instance {instance_id:?} was replaced meanwhile (by run {run}); look at it, and ask again");
                    return Err(BackendError::CannotRewind(text.into()).into());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl<B: Store> WorkflowClient<B> {
    /// Reads what a rewind keeps.
    async fn point(
        &self,
        instance_id: &str,
        to: &str,
        plan: Option<&Plan>,
        nonce: u128,
        request: &SignalRequest,
    ) -> Result<Rewind, RuntimeError> {
        let record = self.record(instance_id).await?;
        let found = record.summary.definition.hash;
        if let Some(plan) = plan.filter(|plan| *plan.hash() != found) {
            return Err(mismatch(&*self.backend, plan, instance_id, found).await);
        }
        let expected = record.summary.run;
        let journal = self.timeline_of(expected).await?;
        let root = record.branches.iter().find(|branch| branch.branch == BranchId::root()).map(|branch| &branch.head);
        let point = rewind_point(&journal, root, to).map_err(|error| cannot(instance_id, &error))?;
        let started_there = (point.node == record.first_node).then(|| record.placement.clone());
        let placement = plan.map(|plan| placement(plan, &point.node)).or(started_there).unwrap_or_default();
        let (instance_id, request) = (Arc::from(instance_id), request.clone());
        Ok(Rewind { instance_id, expected, nonce, keep: point.keep, node: point.node, input: point.input, placement, request })
    }
}

fn placement(plan: &Plan, node: &str) -> Placement {
    let task = Place::parse(plan, node).ok().and_then(|place| plan.task_at(place.node));
    task.map(|task| task.metadata.placement()).unwrap_or_default()
}

fn cannot(instance_id: &str, error: &RewindError) -> RuntimeError {
    BackendError::CannotRewind(format!("instance {instance_id:?}: {error}").into()).into()
}
