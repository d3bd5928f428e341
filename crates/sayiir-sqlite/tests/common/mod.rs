//! What the tests of the SQLite store share: a tiny executor and the smallest workflow there is.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::DefinitionHash;
use sayiir_core::branch::{BranchId, Head, JournalRef, LeaseId, Phase, Placement, RunNumber};
use sayiir_core::journal::EntryKind;
use sayiir_core::transition::{Entry, EventGuard, Next, Output, Transition};
use sayiir_core::workflow::ConflictPolicy;
use sayiir_persistence::{
    BranchView, ClaimRequest, ClaimScope, CommitOutcome, Definition, Process, StartOutcome, StartRun, Store, StoreError,
};
use sayiir_sqlite::{SqliteBackend, SqliteOptions};

/// The longest that anything here may take.
pub const PATIENCE: Duration = Duration::from_mins(1);

pub const TTL: Duration = Duration::from_mins(1);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = Box::pin(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

pub fn open(path: &Path) -> SqliteBackend {
    block_on(SqliteBackend::open(path)).unwrap()
}

pub fn open_with(path: &Path, options: SqliteOptions) -> Result<SqliteBackend, StoreError> {
    block_on(SqliteBackend::open_with(path, options))
}

pub fn impatient() -> SqliteOptions {
    SqliteOptions::default().with_busy_timeout(Duration::from_millis(100))
}

pub struct Place {
    pub dir: tempfile::TempDir,
    pub file: PathBuf,
}

pub fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("store.db");
    Place { dir, file }
}

pub fn definition() -> Definition {
    Definition { hash: DefinitionHash::from("orders"), name: Arc::from("orders"), version: Arc::from("1"), document: None }
}

pub fn request(id: &str, nonce: u128, lease: Option<LeaseId>) -> StartRun {
    StartRun {
        instance_id: Arc::from(id),
        definition: definition(),
        policy: ConflictPolicy::Fail,
        input: Bytes::from_static(b"in"),
        first_node: Arc::from("first"),
        placement: Placement::default(),
        nonce,
        lease: lease.map(|lease| (lease, TTL)),
        trace: None,
        attributes: sayiir_core::attribute::SearchAttributes::new(),
    }
}

pub fn session(store: &SqliteBackend) -> LeaseId {
    let process = Process { host: "here".to_owned(), pid: 7, started: u64::MAX, worker_id: "w".to_owned() };
    block_on(store.open_session(process)).unwrap()
}

pub fn start_leased(store: &SqliteBackend, id: &str, lease: LeaseId) -> BranchView {
    match block_on(store.start(request(id, 1, Some(lease)))).unwrap() {
        StartOutcome::Fresh { root: Some(root), .. } => *root,
        other => panic!("{other:?}"),
    }
}

pub fn at(node: &str, revision: u64) -> Head {
    let input = JournalRef { branch: BranchId::root(), revision };
    Head { node: Arc::from(node), phase: Phase::At, attempt: 0, input, fork_revision: 0 }
}

pub fn entry(node: &str, output: impl Into<Bytes>) -> Entry {
    Entry { kind: EntryKind::TaskCompleted, node: Arc::from(node), attempt: 1, output: Output::Value(output.into()), error: None }
}

/// A plain advance of the root branch from `revision`.
pub fn advance(id: &Arc<str>, run: RunNumber, revision: u64) -> Transition {
    Transition {
        instance_id: Arc::clone(id),
        run,
        branch: BranchId::root(),
        revision,
        entry: Some(entry("step", revision.to_string())),
        guard: EventGuard::None,
        held: false,
        next: Next::Run { head: at("step", revision + 1) },
    }
}

pub fn accepted(outcomes: &[CommitOutcome]) -> bool {
    outcomes.iter().all(|outcome| matches!(outcome, CommitOutcome::Accepted { .. }))
}

pub fn everything(limit: usize, lease: LeaseId) -> ClaimRequest {
    let scope = ClaimScope::Definitions { hashes: [definition().hash].into(), tags: [].into(), ageing: Duration::from_mins(5) };
    ClaimRequest { lease, ttl: TTL, limit, scope }
}
