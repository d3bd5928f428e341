//! Random workflows over all node kinds, failed and retried, ended and rewound: they come to the reference's answer, and nothing
//! that was stored runs again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sayiir_core::branch::BranchId;
use sayiir_core::journal::{EntryKind, JournalRow};
use sayiir_core::workflow::WorkflowStatus;
use sayiir_persistence::{InstanceRecord, Store, forward_store};
use sayiir_reference::{
    Arrival, Case, Control, Flow, Node, Notes, Reference, StoreKind, Trouble, World, case, interpret, judge, nothing_again, payload,
    signal_name, workflow,
};
use sayiir_runtime::{CheckpointingRunner, WorkflowClient};

const ID: &str = "i";

/// A store of any kind.
struct Shared(Arc<dyn Store>);

impl Store for Shared {
    forward_store!(|me| me.0);
}

/// A case on a store.
struct Bench {
    case: Case,
    reference: Reference,
    world: World,
    notes: Arc<Notes>,
    flow: Flow,
    client: WorkflowClient<Shared>,
    runner: CheckpointingRunner<Shared>,
    /// The events that are sent when somebody waits for them.
    events: BTreeMap<String, u32>,
}

fn events(nodes: &[Node], found: &mut BTreeMap<String, u32>) {
    for node in nodes {
        match node {
            Node::Signal { arrival: Arrival::Never, .. } | Node::Task { .. } | Node::Delay { .. } => {}
            Node::Signal { event, .. } => drop(found.insert(signal_name(*event), *event)),
            Node::Fork { branches, .. } => branches.iter().for_each(|branch| events(branch, found)),
            Node::Route { arms, default, .. } => arms.iter().chain(default).for_each(|arm| events(arm, found)),
            Node::Loop { body: inner, .. } | Node::Child { nodes: inner, .. } => events(inner, found),
        }
    }
}

impl Bench {
    async fn new(case: Case, kind: StoreKind) -> Self {
        let world = World::new(kind).await.unwrap();
        let notes = Notes::new(world.clock.clone());
        let flow = workflow("case", &case.nodes, &notes).unwrap();
        let shared = Arc::new(Shared(Arc::clone(&world.store)));
        let (client, runner) = (WorkflowClient::from_shared(Arc::clone(&shared)), CheckpointingRunner::from_shared(shared));
        let mut sent = BTreeMap::new();
        events(&case.nodes, &mut sent);
        Self { reference: interpret(&case.nodes, case.input), case, world, notes, flow, client, runner, events: sent }
    }

    /// Drives the instance until it has ended.
    async fn to_its_end(&self) -> InstanceRecord {
        for _ in 0..20_000 {
            self.runner.resume(&self.flow, ID).await.unwrap();
            let record = self.world.store.instance(ID).await.unwrap().unwrap();
            if record.summary.status.is_terminal() {
                return record;
            }
            for name in record.branches.iter().filter_map(|branch| branch.awaits.as_deref()) {
                if let Some(event) = self.events.get(name) {
                    self.client.send_event(ID, name, payload(*event).to_string()).await.unwrap();
                }
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("it does not end: {:?}", self.case);
    }

    async fn judged(&self, record: &InstanceRecord) -> Vec<JournalRow> {
        let (journal, begun) = (self.client.history(ID).await.unwrap(), self.notes.of(ID));
        judge(&self.reference, Control::None, record, &journal, &begun).unwrap_or_else(|wrong| panic!("{wrong}\n{:?}", self.case));
        nothing_again(&journal, &begun).unwrap_or_else(|wrong| panic!("{wrong}\n{:?}", self.case));
        journal
    }
}

/// The nodes that the root branch was at, in order.
fn nodes_of_the_root(journal: &[JournalRow]) -> Vec<Arc<str>> {
    let rows = journal.iter().filter(|row| row.branch == BranchId::root());
    let rows = rows.filter(|row| !matches!(row.kind, EntryKind::Started | EntryKind::SubStepCompleted | EntryKind::Rewound));
    let mut nodes: Vec<_> = rows.map(|row| Arc::clone(&row.node)).collect();
    nodes.dedup();
    nodes
}

async fn rewind_everywhere(number: u64, kind: StoreKind, met: &mut BTreeSet<u8>) {
    let Case { nodes, input, control: _ } = case(97, number);
    let bench = Bench::new(Case { nodes, input, control: Control::None }, kind).await;
    bench.client.submit(&bench.flow, ID, bench.case.input).await.unwrap();
    let mut journal = bench.judged(&bench.to_its_end().await).await;
    for node in nodes_of_the_root(&journal) {
        let entry = journal.iter().find(|row| row.node == node && row.branch == BranchId::root() && row.kind != EntryKind::Started);
        // A case that fails may fail elsewhere this time, before this node.
        let Some(entry) = entry else { continue };
        met.insert(entry.kind.as_u8());
        let begun = bench.notes.of(ID).len();
        let run = bench.client.rewind(ID, &node).of(&bench.flow).send().await.unwrap();
        let kept = bench.client.history(ID).await.unwrap();
        let put = kept.last().unwrap();
        assert_eq!((put.run, put.kind, &put.node), (run, EntryKind::Rewound, &node), "{:?}", bench.case);
        assert!(kept.iter().all(|row| row.node != node || matches!(row.kind, EntryKind::Started | EntryKind::Rewound)), "{node}: {kept:?}");
        journal = bench.judged(&bench.to_its_end().await).await;
        let again: BTreeSet<_> = bench.notes.of(ID).split_off(begun).into_iter().map(|begun| begun.path).collect();
        for row in kept.iter().filter(|row| row.kind == EntryKind::TaskCompleted) {
            assert!(!again.contains(&row.node), "{} was kept, and ran again", row.node);
        }
    }
}

#[tokio::test]
async fn a_rewound_instance_comes_to_the_same_answer_and_repeats_nothing_before_the_node() {
    let mut met = BTreeSet::new();
    for number in 0..60 {
        let kind = if number % 3 == 0 { StoreKind::SqliteMemory } else { StoreKind::Memory };
        rewind_everywhere(number, kind, &mut met).await;
    }
    let begins = [
        EntryKind::TaskCompleted,
        EntryKind::RouteTaken,
        EntryKind::DelayElapsed,
        EntryKind::JoinCompleted,
        EntryKind::SignalTimedOut,
        EntryKind::EventReceived,
        EntryKind::AttemptFailed,
        EntryKind::Failed,
    ];
    for kind in begins {
        assert!(met.contains(&kind.as_u8()), "no case was rewound to a node that began with {kind:?}");
    }
}

/// The nodes without the troubles that fail for good.
fn mended(nodes: &[Node]) -> Vec<Node> {
    let mend = |trouble: Trouble| if trouble.is_fatal() { Trouble::NONE } else { trouble };
    let one = |node: &Node| match node.clone() {
        Node::Task { id, trouble } => Node::Task { id, trouble: mend(trouble) },
        Node::Fork { id, branches, trouble } => {
            Node::Fork { id, branches: branches.iter().map(|branch| mended(branch)).collect(), trouble: mend(trouble) }
        }
        Node::Route { id, arms, default } => {
            Node::Route { id, arms: arms.iter().map(|arm| mended(arm)).collect(), default: default.as_deref().map(mended) }
        }
        Node::Loop { id, body, rounds, most, exit_with_last } => Node::Loop { id, body: mended(&body), rounds, most, exit_with_last },
        Node::Child { id, nodes } => Node::Child { id, nodes: mended(&nodes) },
        same @ (Node::Delay { .. } | Node::Signal { .. }) => same,
    };
    nodes.iter().map(one).collect()
}

#[tokio::test]
async fn a_failed_instance_that_is_retried_ends_as_if_it_had_not_failed() {
    let mut retried = 0;
    for number in 0..400 {
        let Case { nodes, input, control: _ } = case(53, number);
        let fixed = mended(&nodes);
        if interpret(&nodes, input).output.is_some() || interpret(&fixed, input).output.is_none() {
            continue;
        }
        let kind = if retried % 3 == 0 { StoreKind::SqliteMemory } else { StoreKind::Memory };
        let mut bench = Bench::new(Case { nodes, input, control: Control::None }, kind).await;
        // The mended code is of the same definition, unless a task that has parts is mended.
        let flow = workflow("case", &fixed, &bench.notes).unwrap();
        let reference = interpret(&fixed, input);
        let same_steps = bench.reference.steps.is_subset(&reference.steps);
        if flow.definition_hash() != bench.flow.definition_hash() || !same_steps {
            continue;
        }
        bench.client.submit(&bench.flow, ID, input).await.unwrap();
        bench.judged(&bench.to_its_end().await).await;
        (bench.flow, bench.reference) = (flow, reference);
        bench.client.retry(ID, Some("mended".to_owned()), None).await.unwrap();
        let record = bench.to_its_end().await;
        assert_eq!(record.summary.status, WorkflowStatus::Completed, "{:?}", bench.case);
        bench.judged(&record).await;
        retried += 1;
    }
    assert!(retried > 10, "only {retried} cases fail and can be mended");
}
