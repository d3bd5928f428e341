//! What a store cannot hold is refused at its door, named, and nothing is written.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::branch::Placement;
use sayiir_core::transition::{Entry, Output, Transition};
use sayiir_persistence::{NewEvent, StartRun, StoreError};

use crate::bench::{advance, fail, park};
use crate::{Bench, Factory, wait};

fn too_large<T: std::fmt::Debug>(answer: Result<T, StoreError>, named: &[&str]) {
    match answer {
        Err(StoreError::Limit { what, actual, limit }) => {
            assert!(actual > limit);
            for name in named {
                assert!(what.contains(name), "{what:?} names {name:?}");
            }
        }
        other => panic!("a limit is expected, not {other:?}"),
    }
}

pub fn large_payloads_are_refused_and_nothing_is_written(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let limits = bench.store.limits();
    let large = Bytes::from(vec![b'x'; limits.payload_bytes + 1]);
    too_large(wait(bench.store.start(StartRun { input: large.clone(), ..bench.request("i") })), &["\"i\""]);
    assert_eq!(wait(bench.store.instance("i")).unwrap(), None);
    let event = NewEvent { instance_id: Arc::from("i"), name: Arc::from("go"), payload: large.clone(), key: None };
    too_large(wait(bench.store.put_event(event)), &["\"i\"", "\"go\""]);
    let view = bench.start_held("i", lease);
    assert_eq!(view.mail, 0);
    let with = |output: Output| {
        let step = advance(&view, "1", "b");
        Transition { entry: step.entry.clone().map(|entry| Entry { output, ..entry }), ..step }
    };
    let wrapped = Output::Wrapped { own: Bytes::new(), handed_on: large.clone() };
    for output in [Output::Value(large.clone()), wrapped] {
        too_large(wait(bench.store.commit(lease, vec![with(output)])), &["\"i\"", "\"first\""]);
    }
    let long = "e".repeat(limits.error_bytes + 1);
    too_large(wait(bench.store.commit(lease, vec![fail(&view, &long)])), &["\"i\"", "\"first\""]);
    assert_eq!(bench.journal(view.run).len(), 1);
    bench.ok(lease, with(Output::Value(large.slice(1..))));
    assert_eq!(bench.reload(lease, &view).input.len(), limits.payload_bytes, "the limit itself is accepted");
}

pub fn bad_names_are_refused(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let limits = bench.store.limits();
    for id in ["", "a\0b", &"x".repeat(257)] {
        assert!(wait(bench.store.start(bench.request(id))).is_err(), "{id:?}");
        let event = NewEvent { instance_id: Arc::from(id), name: Arc::from("go"), payload: Bytes::new(), key: None };
        assert!(wait(bench.store.put_event(event)).is_err(), "{id:?}");
    }
    bench.start(&"x".repeat(256));
    let long = "n".repeat(limits.name_bytes + 1);
    for name in ["", "a\0b", &long] {
        let event = NewEvent { instance_id: Arc::from("i"), name: Arc::from(name), payload: Bytes::new(), key: None };
        assert!(wait(bench.store.put_event(event)).is_err(), "{name:?}");
    }
    let placement = Placement { tags: Arc::from([long.clone()]), ..Placement::default() };
    too_large(wait(bench.store.start(StartRun { placement, ..bench.request("i") })), &["\"i\""]);
    let view = bench.start_held("i", lease);
    too_large(wait(bench.store.commit(lease, vec![advance(&view, "1", &long)])), &["\"i\""]);
    too_large(wait(bench.store.commit(lease, vec![park(&view, "w", &long, None)])), &["\"i\""]);
    bench.ok(lease, advance(&view, "1", "b"));
}
