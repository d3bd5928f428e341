//! How a run begins: the lifecycle contract, over the store and through `prepare_run`.

use std::sync::{Arc, Barrier};

use bytes::Bytes;
use sayiir_core::DefinitionHash;
use sayiir_core::control::SignalKind;
use sayiir_core::journal::EntryKind;
use sayiir_core::snapshot::{ExecutionPosition, TaskHint};
use sayiir_core::workflow::{ConflictPolicy, WorkflowStatus};
use sayiir_persistence::{
    ControlAction, Definition, PrepareRunOutcome, RunConflict, SendOutcome, SnapshotStore, StartOutcome, StartRun, prepare_run,
};

use super::MINUTE;
use crate::bench::{advance, finish, fork, fresh, park};
use crate::{Bench, Factory, Fault, FaultStore, TTL, wait};

/// How many callers start at once.
const CALLERS: usize = 64;

/// How many rounds the concurrent cases go, from `SAYIIR_TESTKIT_ROUNDS`.
fn rounds() -> usize {
    std::env::var("SAYIIR_TESTKIT_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}

/// Rounds of one case that share a store before the next one is made.
const ROUNDS_OF_A_STORE: usize = 50;

/// Runs rounds, each under an id of its own. The first ones have a store of their own each, as has every fiftieth, since the first start
/// of a store also makes what all its starts share (its definition, its lane). For the others an id that was never used in a store
/// is as fresh as a store: what races is the id. A new store for each of thousands of rounds would be most of what they cost.
fn in_rounds(make: Factory<'_>, rounds: usize, round: impl Fn(&Bench, &str)) {
    let mut bench = Bench::new(make);
    for number in 0..rounds {
        if (1..5).contains(&number) || (number > 0 && number.is_multiple_of(ROUNDS_OF_A_STORE)) {
            bench = Bench::new(make);
        }
        round(&bench, &format!("i{number}"));
    }
}

fn with_policy(bench: &Bench, policy: ConflictPolicy) -> StartRun {
    StartRun { policy, ..bench.request("i") }
}

pub fn a_start_asked_again_is_the_same_run(make: Factory<'_>) {
    for policy in [ConflictPolicy::Fail, ConflictPolicy::UseExisting, ConflictPolicy::TerminateExisting] {
        let bench = Bench::new(make);
        let lease = bench.lease();
        let request = StartRun { lease: Some((lease, TTL)), ..with_policy(&bench, policy) };
        let (run, root) = fresh(bench.start_with(request.clone()));
        bench.tick(super::SECOND);
        let again = fresh(bench.start_with(request.clone()));
        assert_eq!((again.0, again.1.clone().map(|root| root.revision)), (run, Some(1)), "{policy}");
        assert_eq!(bench.kinds(run), [EntryKind::Started]);
        bench.ok(lease, advance(&root.unwrap(), "1", "b"));
        assert_eq!(fresh(bench.start_with(request)), (run, None), "the root has gone on");
    }
}

pub fn a_mismatch_comes_before_any_policy(make: Factory<'_>) {
    let bench = Bench::new(make);
    bench.start("i");
    let before = bench.record("i");
    let other = Definition { hash: DefinitionHash::from("other"), name: Arc::from("workflow"), version: Arc::from("2"), document: None };
    for policy in [ConflictPolicy::Fail, ConflictPolicy::UseExisting, ConflictPolicy::TerminateExisting] {
        let outcome = bench.start_with(StartRun { definition: other.clone(), ..with_policy(&bench, policy) });
        assert_eq!(outcome, StartOutcome::DefinitionMismatch { found: DefinitionHash::from("workflow") });
    }
    assert_eq!(bench.record("i"), before);
}

pub fn fail_refuses_what_is_known(make: Factory<'_>) {
    let bench = Bench::new(make);
    bench.start("i");
    let before = bench.record("i");
    assert_eq!(bench.start_with(with_policy(&bench, ConflictPolicy::Fail)), StartOutcome::AlreadyExists);
    assert_eq!(bench.record("i"), before);
}

pub fn use_existing_tells_status_and_output(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let view = bench.start_held("i", lease);
    let again = || bench.start_with(with_policy(&bench, ConflictPolicy::UseExisting));
    assert_eq!(again(), StartOutcome::Existing { status: WorkflowStatus::InProgress, output: None });
    bench.ok(lease, finish(&view, "done"));
    let done = StartOutcome::Existing { status: WorkflowStatus::Completed, output: Some(Bytes::from_static(b"done")) };
    assert_eq!(again(), done);
    assert_eq!(bench.claim(lease), [], "nothing is executed");
}

pub fn terminate_existing_leaves_nothing_of_the_old_run(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let old = bench.start_held("i", lease);
    bench.ok(lease, fork(&old, "f", 2, 1));
    bench.send_keyed("i", "go", "p", Some("k"));
    for kind in [SignalKind::Cancel, SignalKind::Pause] {
        wait(bench.store.request_control("i", kind, sayiir_core::control::SignalRequest::default())).unwrap();
    }
    bench.apply("i", ControlAction::Pause);
    let (run, _) = fresh(bench.start_with(with_policy(&bench, ConflictPolicy::TerminateExisting)));
    assert!(run > old.run);
    let record = bench.record("i");
    assert_eq!((record.summary.run, record.summary.status, record.branches.len()), (run, WorkflowStatus::InProgress, 1));
    assert_eq!((record.cancel_request, record.pause_request), (None, None));
    for kind in [SignalKind::Cancel, SignalKind::Pause] {
        assert_eq!(wait(bench.store.requested_control("i", kind)).unwrap(), None);
    }
    assert_eq!(wait(bench.store.take_event("i", "go")).unwrap(), None, "the buffered events went with the old run");
    let view = bench.claim_one(lease);
    assert_eq!((view.run, view.events.len(), view.requested, view.paused), (run, 0, None, false));
    assert!(matches!(bench.send_keyed("i", "go", "p", Some("k")), SendOutcome::Stored(_)), "keys went too");
    bench.tick(MINUTE);
    assert_eq!(bench.claim(lease).len(), 1, "only the new run's branch is due");
}

/// The outcomes of many concurrent starts of an id under a policy.
fn start_at_once(bench: &Bench, id: &str, policy: ConflictPolicy) -> Vec<Result<PrepareRunOutcome, RunConflict>> {
    let barrier = Barrier::new(CALLERS);
    let start = |caller: usize| {
        barrier.wait();
        let input = Bytes::from(caller.to_string());
        wait(prepare_run(id, "workflow", input, TaskHint::new("first", None, &[]), &bench.store, policy))
    };
    std::thread::scope(|scope| {
        let start = &start;
        let callers: Vec<_> = (0..CALLERS).map(|caller| scope.spawn(move || start(caller))).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    })
}

fn fresh_inputs(outcomes: &[Result<PrepareRunOutcome, RunConflict>]) -> Vec<Bytes> {
    let input = |outcome: &Result<PrepareRunOutcome, RunConflict>| match outcome {
        Ok(PrepareRunOutcome::Fresh(snapshot)) => snapshot.initial_input_bytes(),
        _ => None,
    };
    outcomes.iter().filter_map(input).collect()
}

pub fn one_of_many_concurrent_starts_is_fresh(make: Factory<'_>) {
    for policy in [ConflictPolicy::Fail, ConflictPolicy::UseExisting] {
        in_rounds(make, rounds(), |bench, id| {
            let outcomes = start_at_once(bench, id, policy);
            let won = fresh_inputs(&outcomes);
            assert_eq!(won.len(), 1, "{policy}");
            assert_eq!(bench.record(id).input, won[0], "the stored run is the winner's");
            assert_eq!(bench.claim_one(bench.lease()).input, won[0]);
            for outcome in outcomes {
                match (policy, outcome) {
                    (_, Ok(PrepareRunOutcome::Fresh(_)))
                    | (ConflictPolicy::UseExisting, Ok(PrepareRunOutcome::ExistingStatus(WorkflowStatus::InProgress, None)))
                    | (ConflictPolicy::Fail, Err(RunConflict::AlreadyExists(_))) => {}
                    (policy, outcome) => panic!("under {policy}: {outcome:?}"),
                }
            }
        });
    }
}

pub fn concurrent_terminations_leave_one_run(make: Factory<'_>) {
    // In a round of starts one wins, and races once; here each takes the place of the one before it, so that an eighth of the rounds
    // holds eight times as many races.
    in_rounds(make, rounds().min(5).max(rounds() / 8), |bench, id| {
        let lease = bench.lease();
        let old = bench.start_held(id, lease);
        let outcomes = start_at_once(bench, id, ConflictPolicy::TerminateExisting);
        let won = fresh_inputs(&outcomes);
        assert_eq!(won.len(), CALLERS, "each is fresh in turn");
        let record = bench.record(id);
        assert_eq!(record.summary.run.0, old.run.0 + CALLERS as u64, "the last one lives");
        assert!(won.contains(&record.input));
        bench.refused(lease, advance(&old, "1", "b"), sayiir_persistence::Refusal::Replaced);
        let live = bench.claim_one(lease);
        assert_eq!((live.run, live.input), (record.summary.run, record.input));
    });
}

pub fn prepare_run_keeps_its_contract(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let hint = TaskHint::new("first", Some(1), &["gpu".to_owned()]);
    let prepare = |hash: &str, policy| wait(prepare_run("i", hash, Bytes::from_static(b"in"), hint.clone(), &bench.store, policy));
    let Ok(PrepareRunOutcome::Fresh(snapshot)) = prepare("workflow", ConflictPolicy::Fail) else { panic!("an unknown id is fresh") };
    assert_eq!(snapshot.state.position(), Some(&ExecutionPosition::AtTask { task_id: hint.id }));
    assert_eq!((snapshot.task_priority, snapshot.task_tags.clone()), (Some(1), hint.tags.clone()));
    let stored = wait(SnapshotStore::load_snapshot(&bench.store, "i")).unwrap();
    assert_eq!(stored, *snapshot, "what is returned is what is stored");
    assert!(matches!(prepare("workflow", ConflictPolicy::Fail), Err(RunConflict::AlreadyExists(id)) if id == "i"));
    let existing = prepare("workflow", ConflictPolicy::UseExisting).unwrap();
    assert_eq!(existing, PrepareRunOutcome::ExistingStatus(WorkflowStatus::InProgress, None));
    for policy in [ConflictPolicy::Fail, ConflictPolicy::UseExisting, ConflictPolicy::TerminateExisting] {
        match prepare("other", policy) {
            Err(RunConflict::DefinitionMismatch { expected, found }) => assert!(expected == "other" && found == "workflow"),
            other => panic!("{other:?}"),
        }
    }
    let view = bench.claim_one(lease);
    bench.ok(lease, park(&view, "w", "go", None));
    bench.send("i", "go", "p");
    let Ok(PrepareRunOutcome::Fresh(_)) = prepare("workflow", ConflictPolicy::TerminateExisting) else { panic!("fresh again") };
    assert_eq!(wait(bench.store.take_event("i", "go")).unwrap(), None);
    let view = bench.claim_one(lease);
    bench.ok(lease, finish(&view, "out"));
    let done = PrepareRunOutcome::ExistingStatus(WorkflowStatus::Completed, Some(Bytes::from_static(b"out")));
    assert_eq!(prepare("workflow", ConflictPolicy::UseExisting).unwrap(), done);
    let invalid = wait(prepare_run("", "workflow", Bytes::new(), hint.clone(), &bench.store, ConflictPolicy::Fail));
    assert!(matches!(invalid, Err(RunConflict::InvalidInstanceId(_))));
}

pub fn prepare_run_asks_again_after_a_lost_reply(make: Factory<'_>) {
    for (fault, policy) in [Fault::RequestLost, Fault::ReplyLost].into_iter().flat_map(|fault| {
        [ConflictPolicy::Fail, ConflictPolicy::UseExisting, ConflictPolicy::TerminateExisting].map(|policy| (fault, policy))
    }) {
        let bench = Bench::new(make);
        let store = FaultStore::new(Arc::clone(&bench.store));
        let prepare = || wait(prepare_run("i", "workflow", Bytes::new(), TaskHint::new("first", None, &[]), &store, policy));
        store.fail_write(1, fault);
        assert!(matches!(prepare(), Ok(PrepareRunOutcome::Fresh(_))), "{fault:?} under {policy}");
        assert_eq!(bench.record("i").branches.len(), 1);
        store.fail_write(1, Fault::CrashBefore);
        match prepare() {
            Err(error @ RunConflict::Backend(_)) => assert!(std::error::Error::source(&error).is_some()),
            other => panic!("{other:?}"),
        }
        assert_eq!(bench.record("i").branches.len(), 1, "the crash left the old run");
    }
}
