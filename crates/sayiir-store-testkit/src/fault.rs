//! A store that loses requests and replies, and dies, at the write it is told to.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};

use sayiir_core::branch::LeaseId;
use sayiir_core::future::{BoxFuture, MaybeSend};
use sayiir_persistence::{AroundStore, Operation, Process, Store, StoreError, StoreFuture, forward_store};

/// What happens to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does not reach the store.
    RequestLost,
    /// It is applied; the caller is not told.
    ReplyLost,
    /// The caller's world ends before it: nothing is applied any more, until [`FaultStore::revive`].
    CrashBefore,
    /// The caller's world ends after it was applied.
    CrashAfter,
}

#[derive(Default)]
struct Plan {
    writes: u64,
    faults: BTreeMap<u64, Fault>,
    between: BTreeMap<u64, Vec<BoxFuture<'static, ()>>>,
    leases: Vec<LeaseId>,
    crashed: bool,
}

/// A store around another one. Its faults all look alike to the caller: [`StoreError::Unavailable`].
pub struct FaultStore {
    inner: Arc<dyn Store>,
    plan: Mutex<Plan>,
}

impl FaultStore {
    /// A store that passes everything on until it is told otherwise.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, plan: Mutex::default() }
    }

    /// Lets the `nth` write from now (1: the next one) meet a fault.
    pub fn fail_write(&self, nth: u64, fault: Fault) {
        let mut plan = self.plan();
        let at = plan.writes + nth;
        plan.faults.insert(at, fault);
    }

    /// Lets somebody else act right before the `nth` write from now (1: the next one), whether that meets a fault or not.
    pub fn act_before_write(&self, nth: u64, act: BoxFuture<'static, ()>) {
        let mut plan = self.plan();
        let at = plan.writes + nth;
        plan.between.entry(at).or_default().push(act);
    }

    /// The leases of the sessions that were opened through this store.
    pub fn leases(&self) -> Vec<LeaseId> {
        self.plan().leases.clone()
    }

    /// How many writes were asked for so far, failed ones too.
    pub fn writes(&self) -> u64 {
        self.plan().writes
    }

    /// Whether a crash has come.
    pub fn is_crashed(&self) -> bool {
        self.plan().crashed
    }

    /// Ends a crash, and forgets faults that have not come yet.
    pub fn revive(&self) {
        let mut plan = self.plan();
        plan.crashed = false;
        plan.faults.clear();
    }

    /// The store inside.
    pub fn inner(&self) -> &Arc<dyn Store> {
        &self.inner
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a write, and gives its number and who acts before it.
    fn next_write(&self) -> (u64, Vec<BoxFuture<'static, ()>>) {
        let mut plan = self.plan();
        plan.writes += 1;
        let number = plan.writes;
        (number, plan.between.remove(&number).unwrap_or_default())
    }

    /// What is to happen to a write: whether it is applied, and whether it is answered.
    fn fate(&self, number: u64) -> (bool, bool) {
        let mut plan = self.plan();
        if plan.crashed {
            return (false, false);
        }
        match plan.faults.remove(&number) {
            None => (true, true),
            Some(Fault::RequestLost) => (false, false),
            Some(Fault::ReplyLost) => (true, false),
            Some(Fault::CrashBefore) => {
                plan.crashed = true;
                (false, false)
            }
            Some(Fault::CrashAfter) => {
                plan.crashed = true;
                (true, false)
            }
        }
    }

    async fn write<'a, T>(&'a self, ask: impl FnOnce() -> StoreFuture<'a, T>) -> Result<T, StoreError> {
        let (number, acts) = self.next_write();
        for act in acts {
            act.await;
        }
        let (applied, answered) = self.fate(number);
        if !applied {
            return Err(StoreError::unavailable("a fault was asked for before this write"));
        }
        let answer = ask().await;
        if answered { answer } else { Err(StoreError::unavailable("a fault was asked for after this write")) }
    }
}

impl AroundStore for FaultStore {
    /// Asks the store inside only once the write is let through.
    fn around<'a, T: MaybeSend + 'a>(
        &'a self,
        operation: Operation,
        ask: impl FnOnce() -> StoreFuture<'a, T> + MaybeSend + 'a,
    ) -> StoreFuture<'a, T> {
        if operation.is_write() {
            Box::pin(self.write(ask))
        } else if self.is_crashed() {
            Box::pin(ready(Err(StoreError::unavailable("a crash was asked for"))))
        } else {
            ask()
        }
    }
}

impl Store for FaultStore {
    fn open_session(&self, process: Process) -> StoreFuture<'_, LeaseId> {
        let opened = async move {
            let lease = self.inner.open_session(process).await?;
            self.plan().leases.push(lease);
            Ok(lease)
        };
        Box::pin(self.write(move || Box::pin(opened)))
    }

    forward_store!(around |me| me.inner, except open_session);
}
