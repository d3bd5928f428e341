//! For a store's own tests beside the suite: the smallest workflow there is, and the words for starting it, taking it and going on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::DefinitionHash;
use sayiir_core::attribute::SearchAttributes;
use sayiir_core::branch::{BranchId, Head, JournalRef, LeaseId, Phase, Placement, RunNumber};
use sayiir_core::journal::EntryKind;
use sayiir_core::transition::{Entry, EventGuard, Next, Output, Transition};
use sayiir_core::workflow::ConflictPolicy;
use sayiir_persistence::{BranchView, ClaimRequest, ClaimScope, CommitOutcome, Definition, Process, StartOutcome, StartRun, Store};

use crate::bench::head_at;
pub use crate::bench::transition;
use crate::wait;

/// The longest that anything may take.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// How long a lease is.
pub const TTL: Duration = Duration::from_mins(1);

/// The definition of the workflow `orders`.
pub fn definition() -> Definition {
    Definition { hash: DefinitionHash::from("orders"), name: Arc::from("orders"), version: Arc::from("1"), document: None }
}

/// A start of it.
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
        attributes: SearchAttributes::new(),
    }
}

/// A session of a process that is nobody's.
pub fn session(store: &impl Store) -> LeaseId {
    let process = Process { host: "here".to_owned(), pid: 7, started: u64::MAX, worker_id: "w".to_owned() };
    wait(store.open_session(process)).unwrap()
}

/// Starts an instance, which must be new; its root branch, leased.
pub fn start_leased(store: &impl Store, id: &str, lease: LeaseId) -> BranchView {
    match wait(store.start(request(id, 1, Some(lease)))).unwrap() {
        StartOutcome::Fresh { root: Some(root), .. } => *root,
        other => panic!("{other:?}"),
    }
}

/// A head at this node, whose input is the root's row of this revision.
pub fn at(node: &str, revision: u64) -> Head {
    Head { input: JournalRef { branch: BranchId::root(), revision }, ..head_at(node, Phase::At) }
}

/// The entry of a task that returned.
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

/// Whether every transition was accepted.
pub fn accepted(outcomes: &[CommitOutcome]) -> bool {
    outcomes.iter().all(|outcome| matches!(outcome, CommitOutcome::Accepted { .. }))
}

/// A claim of whatever is due of it.
pub fn everything(limit: usize, lease: LeaseId) -> ClaimRequest {
    let scope = ClaimScope::Definitions { hashes: [definition().hash].into(), tags: [].into(), ageing: Duration::from_mins(5) };
    ClaimRequest { lease, ttl: TTL, limit, scope }
}
