//! Starting a run: the one way for runners and the client.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::attribute::SearchAttributes;
use sayiir_core::branch::LeaseId;
use sayiir_core::plan::{Place, Plan};
use sayiir_core::validate_instance_id;
use sayiir_core::workflow::ConflictPolicy;
use sayiir_persistence::{Definition, StartOutcome, StartRun, Store};

use crate::error::RuntimeError;
use crate::mismatch::mismatch;

/// The longest wait before a start is asked for again.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// What became of a start that was not refused.
pub(crate) enum Started {
    /// A new run, with its root branch if a lease was asked for.
    Fresh(Option<Box<sayiir_persistence::BranchView>>, sayiir_core::branch::RunNumber),
    /// What the policy `UseExisting` found.
    Existing(sayiir_core::workflow::WorkflowStatus, Option<Bytes>),
}

/// How a run begins.
pub(crate) struct Begin {
    pub(crate) input: Bytes,
    /// What to do if the id is known.
    pub(crate) policy: ConflictPolicy,
    /// Who takes the root branch at once.
    pub(crate) lease: Option<(LeaseId, Duration)>,
    /// How long a store that gives no answer is asked again.
    pub(crate) patience: Duration,
    pub(crate) attributes: SearchAttributes,
}

impl Begin {
    /// A run that nobody takes yet, without attributes.
    pub(crate) const fn new(input: Bytes, policy: ConflictPolicy, patience: Duration) -> Self {
        Self { input, policy, lease: None, patience, attributes: SearchAttributes::new() }
    }
}

/// Asks the store for a run of `plan`, for at most the patience while it gives no answer. Asked again after a lost reply it is the same start (by its nonce).
pub(crate) async fn start_run(store: &dyn Store, plan: &Plan, instance_id: &str, begin: Begin) -> Result<Started, RuntimeError> {
    let Begin { input, policy, lease, patience, attributes } = begin;
    validate_instance_id(instance_id)?;
    let first = Place::start(plan);
    let request = StartRun {
        instance_id: Arc::from(instance_id),
        definition: definition(store, plan),
        policy,
        input,
        first_node: first.path(plan),
        placement: plan.task_at(first.node).map(|task| task.metadata.placement()).unwrap_or_default(),
        nonce: nonce(),
        lease,
        trace: trace_context(),
        attributes,
    };
    let (mut wait, mut waited) = (Duration::from_millis(5), Duration::ZERO);
    let outcome = loop {
        match store.start(request.clone()).await {
            Ok(outcome) => break outcome,
            Err(error) if !error.is_transient() || waited >= patience => return Err(error.into()),
            Err(_) => {}
        }
        tokio::time::sleep(wait).await;
        waited += wait;
        wait = (2 * wait).min(LONGEST_WAIT);
    };
    match outcome {
        StartOutcome::Fresh { run, created_at: _, root } => Ok(Started::Fresh(root, run)),
        StartOutcome::Existing { status, output } => Ok(Started::Existing(status, output)),
        StartOutcome::AlreadyExists => Err(RuntimeError::InstanceAlreadyExists(instance_id.to_owned())),
        StartOutcome::DefinitionMismatch { found } => Err(mismatch(store, plan, instance_id, found).await),
    }
}

/// The definition with its document, unless that is too long for the store: it is there for those who ask what changed, and is not missed by the run.
fn definition(store: &dyn Store, plan: &Plan) -> Definition {
    let document = Some(plan.document()).filter(|document| document.len() <= store.limits().payload_bytes);
    Definition { hash: *plan.hash(), name: Arc::clone(plan.name()), version: Arc::clone(plan.version()), document: document.cloned() }
}

/// The trace that the caller is in.
#[cfg(feature = "otel")]
fn trace_context() -> Option<Arc<str>> {
    crate::trace_context::current()
}

#[cfg(not(feature = "otel"))]
const fn trace_context() -> Option<Arc<str>> {
    None
}

/// A number that no other start has: from the hasher's random keys.
pub(crate) fn nonce() -> u128 {
    let random = || u128::from(RandomState::new().hash_one(std::process::id()));
    random() << 64 | random()
}
