//! The client of the made-up world: starts an instance, sends its events, and meddles with it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::plan::Place;
use sayiir_core::workflow::{ConflictPolicy, RunnableWorkflow};
use sayiir_persistence::{BackendError, Definition, StartOutcome, StartRun, Store};
use sayiir_reference::{Case, Control, Outside, Reference};
use sayiir_runtime::{RuntimeError, WorkflowClient};

use crate::world::World;

/// One instance, and what is to be done with it.
pub(crate) struct Errand {
    pub(crate) id: Arc<str>,
    pub(crate) flow: Arc<dyn RunnableWorkflow>,
    pub(crate) case: Case,
    pub(crate) reference: Reference,
    /// Whether it is started anew in mid-run.
    pub(crate) restarts: bool,
}

impl Errand {
    /// Does it, until the instance has ended and nobody meddles any more.
    pub(crate) async fn run(&self, world: &Arc<World>, store: &Arc<dyn Store>) {
        let mut restarts = self.restarts;
        let mut outside = self.begin(world, store).await;
        self.start(world, store, 1).await;
        loop {
            let pause = if world.is_hostile() { 30_000 } else { 50_000 };
            world.sleep(Duration::from_micros(world.below(pause))).await;
            if world.is_hostile() {
                self.meddle(world, store).await;
                if world.one_in(4) {
                    // If no answer comes it is still to be sent.
                    let _ = outside.send_early().await;
                }
                if restarts && world.one_in(6) {
                    restarts = false;
                    self.start(world, store, 2).await;
                    outside = self.begin(world, store).await;
                }
            }
            if let Ok(Some(record)) = outside.tend().await
                && record.summary.status.is_terminal()
                && !world.is_hostile()
            {
                return;
            }
        }
    }

    async fn begin(&self, world: &Arc<World>, store: &Arc<dyn Store>) -> Outside {
        loop {
            if let Ok(outside) = Outside::begin(store, &self.id, &self.case.nodes, &self.reference).await {
                return outside;
            }
            world.sleep(Duration::from_millis(5)).await;
        }
    }

    /// Starts it; what the store acknowledges is asked no more.
    async fn start(&self, world: &Arc<World>, store: &Arc<dyn Store>, nonce: u128) {
        let plan = self.flow.plan();
        let first = Place::start(plan);
        let request = StartRun {
            instance_id: Arc::clone(&self.id),
            definition: Definition {
                hash: *plan.hash(),
                name: Arc::clone(plan.name()),
                version: Arc::clone(plan.version()),
                document: None,
            },
            policy: if nonce == 1 { ConflictPolicy::UseExisting } else { ConflictPolicy::TerminateExisting },
            input: Bytes::from(self.case.input.to_string()),
            first_node: first.path(plan),
            placement: plan.task_at(first.node).map(|task| task.metadata.placement()).unwrap_or_default(),
            nonce,
            lease: None,
            trace: None,
            attributes: sayiir_core::attribute::SearchAttributes::new(),
        };
        loop {
            match store.start(request.clone()).await {
                Ok(StartOutcome::Fresh { .. } | StartOutcome::Existing { .. }) => return,
                Ok(refused) => return world.violate(format!("a start of {} was refused: {refused:?}", self.id)),
                Err(_) => world.sleep(Duration::from_millis(5)).await,
            }
        }
    }

    async fn meddle(&self, world: &Arc<World>, store: &Arc<dyn Store>) {
        let client = WorkflowClient::new(Arc::clone(store));
        let cancels = matches!(self.case.control, Control::Cancel(_));
        // No answer is fine: a later turn does it, or nobody.
        match world.below(12) {
            0 | 1 => self.told(world, client.pause(&self.id, None, None).await.err()),
            2 => self.told(world, client.unpause(&self.id).await.err()),
            3 => drop(store.request_control(&self.id, SignalKind::Pause, SignalRequest::default()).await),
            4 => drop(store.clear_control(&self.id, SignalKind::Pause).await),
            5 if cancels => self.told(world, client.cancel(&self.id, None, None).await.err()),
            6 if cancels => drop(store.request_control(&self.id, SignalKind::Cancel, SignalRequest::default()).await),
            7 => self.told(world, client.status(&self.id).await.err()),
            8 => self.told(world, client.history(&self.id).await.err()),
            // What has failed fails again, for its tasks are what they are; but nothing that was stored may run again.
            9 => self.told(world, client.retry(&self.id, None, None).await.err()),
            _ => {}
        }
    }

    /// Looks at what the client was told: the store gave no answer, or the instance has ended.
    fn told(&self, world: &World, error: Option<RuntimeError>) {
        match error {
            None
            | Some(RuntimeError::Backend(
                BackendError::Backend(_) | BackendError::CannotPause(_) | BackendError::CannotCancel(_) | BackendError::CannotRetry(_),
            )) => {}
            Some(other) => world.violate(format!("the client of {} was told {other:?}", self.id)),
        }
    }
}
