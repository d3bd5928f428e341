//! What a task leaves while it runs: sub-steps, which are stored like steps, and progress, which is not.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::DefinitionHash;
use sayiir_core::branch::JournalRef;
use sayiir_core::journal::EntryKind;
use sayiir_core::transition::Wake;
use sayiir_core::workflow::ConflictPolicy;
use sayiir_persistence::{CommitOutcome, ControlAction, Definition, Refusal, StartRun, StoreError};

use super::{MINUTE, SECOND};
use crate::bench::{advance, end, fork, fresh, hand_back, retry, sub_step};
use crate::{Bench, Factory, TTL, wait};

fn text(found: &[(&str, &str)]) -> Vec<(String, String)> {
    found.iter().map(|(path, output)| ((*path).to_owned(), (*output).to_owned())).collect()
}

pub fn a_sub_step_leaves_the_branch_where_it_is(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let first = bench.start_held("i", lease);
    bench.ok(lease, advance(&first, "1", "work"));
    let before = bench.reload(lease, &first);
    let began = bench.record("i").branches[0].attempt_at;
    bench.tick(SECOND);
    bench.ok(lease, sub_step(&before, "part", "p"));
    let after = bench.reload(lease, &before);
    assert_eq!((after.revision, &after.head, &after.input), (before.revision + 1, &before.head, &before.input));
    assert_eq!(bench.record("i").branches[0].attempt_at, began, "the attempt goes on");
    let row = bench.journal(before.run).pop().expect("a row");
    assert_eq!((row.kind, &*row.node, row.output.as_deref()), (EntryKind::SubStepCompleted, "work/part", Some(&b"p"[..])));
    bench.ok(lease, advance(&after, "2", "next"));
    assert_eq!(bench.reload(lease, &after).input, Bytes::from_static(b"2"));
}

pub fn a_task_finds_its_own_sub_steps_only(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let first = bench.start_held("i", lease);
    bench.ok(lease, advance(&first, "1", "work"));
    let mut view = bench.reload(lease, &first);
    assert_eq!(bench.sub_steps(&view), []);
    for (name, output) in [("b", "2"), ("a", "1"), ("c", ""), ("d/e", "another task's")] {
        bench.ok(lease, sub_step(&view, name, output));
        view = bench.reload(lease, &view);
    }
    let own = text(&[("work/a", "1"), ("work/b", "2"), ("work/c", "")]);
    assert_eq!(bench.sub_steps(&view), own);
    bench.ok(lease, advance(&view, "1", "work2"));
    let next = bench.reload(lease, &view);
    assert_eq!(bench.sub_steps(&next), [], "another node's");
    let other = bench.start_held("other", lease);
    bench.ok(lease, advance(&other, "1", "work"));
    assert_eq!(bench.sub_steps(&bench.reload(lease, &other)), [], "another run's");
    assert_eq!(bench.sub_steps(&view), own, "they stay");
}

pub fn branches_keep_their_sub_steps_apart(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let root = bench.start_held("i", lease);
    bench.ok(lease, fork(&root, "fan", 2, 2));
    let children = wait(bench.store.load(lease, root.run, Vec::new())).unwrap();
    bench.ok(lease, sub_step(&children[0], "part", "one"));
    let one = bench.reload(lease, &children[0]);
    assert_eq!(bench.sub_steps(&one), text(&[("fan/child0/part", "one")]));
    assert_eq!(bench.sub_steps(&children[1]), []);
    bench.ok(lease, end(&one, "1"));
    let join = bench.ok(lease, end(&children[1], "2")).expect("the join is ready");
    assert_eq!(bench.sub_steps(&join), [], "a join finds its own, not its branches'");
    bench.ok(lease, sub_step(&join, "child0", "the join's"));
    assert_eq!(bench.sub_steps(&join), text(&[("fan/child0", "the join's")]));
    let outputs = wait(bench.store.read_branch_outputs(join.run, children.into_iter().map(|child| child.branch).collect())).unwrap();
    assert_eq!(outputs, [Bytes::from_static(b"1"), Bytes::from_static(b"2")]);
}

pub fn sub_steps_outlast_attempts_and_owners(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (one, two) = (bench.lease(), bench.lease());
    let first = bench.start_held("i", one);
    bench.ok(one, sub_step(&first, "a", "1"));
    bench.ok(one, retry(&bench.reload(one, &first), MINUTE));
    bench.tick(MINUTE);
    let second = bench.claim_one(one);
    assert_eq!(bench.sub_steps(&second), text(&[("first/a", "1")]));
    bench.ok(one, sub_step(&second, "b", "2"));
    bench.tick(TTL);
    let taken = bench.claim_one(two);
    assert_eq!(taken.crashes, 1);
    assert_eq!(bench.sub_steps(&taken), text(&[("first/a", "1"), ("first/b", "2")]));
    bench.ok(two, sub_step(&taken, "c", "3"));
    let on = bench.reload(two, &taken);
    assert_eq!((on.crashes, on.head.attempt), (0, 1), "what was stored is a step ahead");
    bench.ok(two, hand_back(&on, Wake::AsStored));
    assert_eq!(bench.sub_steps(&bench.claim_one(one)).len(), 3);
}

pub fn a_sub_step_is_fenced_like_a_step(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (one, two) = (bench.lease(), bench.lease());
    let view = bench.start_held("i", one);
    bench.ok(one, sub_step(&view, "a", "1"));
    assert_eq!(bench.commit(one, sub_step(&view, "a", "1")), CommitOutcome::AlreadyAccepted);
    let held = bench.reload(one, &view);
    bench.apply("i", ControlAction::Pause);
    bench.refused(one, sub_step(&held, "b", "2"), Refusal::Moved);
    bench.ok(one, sub_step(&bench.reload(one, &held), "b", "2"));
    bench.apply("i", ControlAction::Unpause);
    let held = bench.reload(one, &held);
    bench.tick(TTL);
    let taken = bench.claim_one(two);
    bench.refused(one, sub_step(&held, "c", "3"), Refusal::LeaseLost);
    assert_eq!(bench.sub_steps(&taken).len(), 2);
    bench.apply("i", ControlAction::Cancel);
    bench.refused(two, sub_step(&taken, "c", "3"), Refusal::Ended);
    let again = StartRun { policy: ConflictPolicy::TerminateExisting, ..bench.request("i") };
    fresh(bench.start_with(again));
    bench.refused(two, sub_step(&taken, "c", "3"), Refusal::Replaced);
}

pub fn progress_is_kept_while_the_attempt_lasts(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (one, two) = (bench.lease(), bench.lease());
    let view = bench.start_held("i", one);
    let shown = || bench.record("i").branches[0].progress.clone().map(|progress| (progress.payload, progress.at));
    assert_eq!(shown(), None);
    assert!(bench.report(one, &view, "10 %"));
    bench.tick(SECOND);
    assert!(bench.report(one, &view, "20 %"));
    let at = bench.clock_now();
    assert_eq!(shown(), Some((Bytes::from_static(b"20 %"), at)));
    assert_eq!(bench.reload(one, &view).revision, view.revision, "it is no step");
    assert_eq!(bench.kinds(view.run), [EntryKind::Started]);
    bench.ok(one, sub_step(&view, "a", "1"));
    assert_eq!(shown(), Some((Bytes::from_static(b"20 %"), at)), "a sub-step belongs to the attempt");
    bench.tick(TTL);
    let taken = bench.claim_one(two);
    assert!(!bench.report(one, &view, "late"), "its lease is lost");
    assert_eq!(shown(), Some((Bytes::from_static(b"20 %"), at)), "until its new owner says more");
    bench.ok(two, advance(&taken, "1", "next"));
    assert_eq!(shown(), None, "the next node has made none");
    let next = bench.reload(two, &taken);
    assert!(bench.report(two, &next, "half"));
    bench.ok(two, retry(&next, MINUTE));
    assert_eq!(shown(), None, "nor has the next attempt");
    assert!(!bench.report(two, &next, "free"), "nobody holds it");
}

pub fn progress_that_is_too_large_is_refused(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let view = bench.start_held("i", lease);
    let large = Bytes::from(vec![0; bench.store.limits().payload_bytes + 1]);
    let refused = wait(bench.store.report_progress(lease, view.run, view.branch.clone(), large));
    assert!(matches!(refused, Err(StoreError::Limit { .. })), "{refused:?}");
}

pub fn a_definition_keeps_its_first_document(make: Factory<'_>) {
    let bench = Bench::new(make);
    let hash = DefinitionHash::from("workflow");
    let document = |hash| wait(bench.store.definition_document(hash)).unwrap();
    let start = |id: &str, document: Option<&str>| {
        let request = bench.request(id);
        let definition = Definition { document: document.map(Arc::from), ..request.definition.clone() };
        fresh(bench.start_with(StartRun { definition, ..request }));
    };
    start("i", None);
    assert_eq!(document(hash), None);
    start("j", Some("one"));
    start("k", Some("two"));
    start("l", None);
    assert_eq!(document(hash).as_deref(), Some("one"));
    assert_eq!(document(DefinitionHash::from("other")), None);
    assert_eq!(bench.record("j").summary.definition.document, None);
    assert!(wait(bench.store.delete("j")).unwrap());
    assert_eq!(document(hash).as_deref(), Some("one"), "it is the definition's, not the instance's");
}

pub fn a_trace_context_goes_with_every_branch(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (one, two) = (bench.lease(), bench.lease());
    let trace: Arc<str> = Arc::from("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let request = StartRun { trace: Some(Arc::clone(&trace)), lease: Some((one, TTL)), ..bench.request("i") };
    let root = *fresh(bench.start_with(request)).1.expect("the lease was asked for");
    assert_eq!(root.trace.as_ref(), Some(&trace));
    bench.ok(one, fork(&root, "fan", 2, 1));
    assert_eq!(bench.claim_one(two).trace.as_ref(), Some(&trace));
    let kept = wait(bench.store.load(one, root.run, Vec::new())).unwrap();
    assert!(kept.iter().all(|view| view.trace.as_ref() == Some(&trace)));
    let value = wait(bench.store.read_values(root.run, vec![JournalRef::instance_input()])).unwrap();
    assert_eq!(value, [Bytes::from_static(b"input")]);
    let replaced = StartRun { policy: ConflictPolicy::TerminateExisting, lease: Some((one, TTL)), ..bench.request("i") };
    assert_eq!(fresh(bench.start_with(replaced)).1.expect("leased").trace, None, "each run has its own");
}
