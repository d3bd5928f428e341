//! A store that tells a test of its calls, so that the test can hold a reply back or lose it at an exact moment.

use std::sync::Arc;
use std::time::Duration;

use sayiir::core::branch::{BranchId, LeaseId, RunNumber};
use sayiir::core::control::SignalKind;
use sayiir::core::future::BoxFuture;
use sayiir::core::transition::Transition;
use sayiir::persistence::{BranchView, ClaimRequest, CommitOutcome, Store, StoreError, StoreFuture, forward_store};

/// A call of the driver's, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    /// About to be applied.
    BeforeCommit(Vec<Transition>),
    /// Applied, not yet answered.
    AfterCommit(Vec<Transition>),
    /// Taken, not yet answered.
    AfterClaim(Vec<BranchView>),
    /// About to be read.
    BeforeLoad(Vec<BranchId>),
    /// Read, not yet answered.
    AfterLoad(Vec<BranchView>),
    /// About to be asked what is held.
    BeforeLeased,
    /// Told what is held, not yet answered.
    AfterLeased,
    /// About to be renewed.
    BeforeRenew,
    /// Renewed, not yet answered.
    AfterRenew,
    /// A recorded request is about to be applied.
    BeforeApply,
}

/// What a test does at a call; the reply is lost if it answers false.
pub(crate) type Hook = Box<dyn Fn(Call) -> BoxFuture<'static, bool> + Send + Sync>;

/// A store around another.
pub(crate) struct HookedStore {
    inner: Arc<dyn Store>,
    hook: Hook,
}

impl HookedStore {
    pub(crate) fn new(inner: impl Store, hook: impl Fn(Call) -> BoxFuture<'static, bool> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { inner: Arc::new(inner), hook: Box::new(hook) })
    }

    async fn tell(&self, call: Call) -> Result<(), StoreError> {
        if (self.hook)(call).await { Ok(()) } else { Err(StoreError::unavailable("the reply was lost")) }
    }
}

impl Store for HookedStore {
    forward_store!(|me| me.inner, except commit, claim, load, leased, renew, apply_requested);

    fn commit(&self, lease: LeaseId, transitions: Vec<Transition>) -> StoreFuture<'_, Vec<CommitOutcome>> {
        Box::pin(async move {
            self.tell(Call::BeforeCommit(transitions.clone())).await?;
            let outcomes = self.inner.commit(lease, transitions.clone()).await?;
            self.tell(Call::AfterCommit(transitions)).await?;
            Ok(outcomes)
        })
    }

    fn claim(&self, request: ClaimRequest) -> StoreFuture<'_, Vec<BranchView>> {
        Box::pin(async move {
            let views = self.inner.claim(request).await?;
            self.tell(Call::AfterClaim(views.clone())).await?;
            Ok(views)
        })
    }

    fn load(&self, lease: LeaseId, run: RunNumber, branches: Vec<BranchId>) -> StoreFuture<'_, Vec<BranchView>> {
        Box::pin(async move {
            self.tell(Call::BeforeLoad(branches.clone())).await?;
            let views = self.inner.load(lease, run, branches).await?;
            self.tell(Call::AfterLoad(views.clone())).await?;
            Ok(views)
        })
    }

    fn apply_requested(&self, instance_id: &str, kind: SignalKind) -> StoreFuture<'_, bool> {
        let id = instance_id.to_owned();
        Box::pin(async move {
            self.tell(Call::BeforeApply).await?;
            self.inner.apply_requested(&id, kind).await
        })
    }

    fn leased(&self, lease: LeaseId) -> StoreFuture<'_, Vec<(RunNumber, BranchId, u64)>> {
        Box::pin(async move {
            self.tell(Call::BeforeLeased).await?;
            let held = self.inner.leased(lease).await?;
            self.tell(Call::AfterLeased).await?;
            Ok(held)
        })
    }

    fn renew(&self, lease: LeaseId, ttl: Duration, branches: Vec<(RunNumber, BranchId)>) -> StoreFuture<'_, Vec<Option<u64>>> {
        Box::pin(async move {
            self.tell(Call::BeforeRenew).await?;
            let answers = self.inner.renew(lease, ttl, branches).await?;
            self.tell(Call::AfterRenew).await?;
            Ok(answers)
        })
    }
}
