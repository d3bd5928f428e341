//! What changed, in words; and who can go on.

use std::sync::Arc;
use std::time::Duration;

use sayiir_core::prelude::*;
use sayiir_core::workflow::{DefinitionDiff, DefinitionFormat, SubFlow, Typed, WorkflowDefinition};

type Flow = WorkflowBuilder<JsonCodec, u32, Typed<u32>>;

fn start(name: &str) -> Flow {
    WorkflowBuilder::new(WorkflowContext::new(name, Arc::new(JsonCodec), Arc::new(())))
}

/// Adds a task for each of the words.
fn tasks<I>(flow: WorkflowBuilder<JsonCodec, I, Typed<u32>>, ids: &str) -> WorkflowBuilder<JsonCodec, I, Typed<u32>> {
    ids.split_whitespace().fold(flow, |flow, id| flow.then(id, |x: u32| async move { Ok(x) }))
}

fn flow(ids: &str) -> Flow {
    tasks(start("w"), ids)
}

fn diff(old: Flow, new: Flow) -> DefinitionDiff {
    old.build().unwrap().definition().diff(&new.build().unwrap().definition())
}

fn said(old: Flow, new: Flow) -> String {
    diff(old, new).to_string()
}

fn versioned(version: &str) -> TaskMetadata {
    TaskMetadata { version: Some(version.to_owned()), ..TaskMetadata::default() }
}

fn fork(flow: Flow, branches: &[(&str, &str)]) -> Flow {
    let fork = flow.branches(|all| {
        for (name, ids) in branches {
            all.add_flow(name, |s| tasks(s, ids));
        }
    });
    fork.join("join", |outputs| async move { Ok(u32::try_from(outputs.len())?) })
}

fn route(flow: Flow, arms: &[(&str, &str)], default: bool) -> Flow {
    let mut route = flow.route_str::<u32, _, _>(|x| async move { Ok(x.to_string()) });
    for (key, ids) in arms {
        route = route.branch(key, |s| tasks(s, ids));
    }
    if default {
        route = route.default_branch(|s| tasks(s, "any"));
    }
    route.done().then("unwrap", |envelope: BranchEnvelope<u32>| async move { Ok(envelope.result) })
}

fn body(
    s: SubFlow<JsonCodec, u32, Typed<u32>, (), sayiir_core::workflow::NoRegistry>,
    ids: &str,
) -> SubFlow<JsonCodec, u32, Typed<LoopResult<u32>>, (), sayiir_core::workflow::NoRegistry> {
    tasks(s, ids).then("done", |x: u32| async move { Ok(LoopResult::Done(x)) })
}

#[test]
fn every_change_is_said_in_words() {
    assert_eq!(said(flow("a b"), flow("a b c")), "\"c\" (task) added");
    assert_eq!(said(flow("a b c"), flow("a c")), "\"b\" (task) removed");
    assert_eq!(said(flow("a b c"), flow("c a b")), "\"c\" moved to the front");
    assert_eq!(said(flow("a b c d"), flow("b c a d")), "\"a\" moved behind \"c\"");
    assert_eq!(said(flow("a b"), tasks(start("v"), "a b")), "the name changed from \"w\" to \"v\"");
    assert_eq!(said(flow("a b"), flow("a b").version("2")), "the version changed from none to \"2\"");
    assert_eq!(
        said(flow("a").with_metadata(versioned("1")), flow("a").with_metadata(versioned("2"))),
        "the version of \"a\" changed from \"1\" to \"2\""
    );
    let delay = |ids| flow(ids).delay("rest", Duration::ZERO);
    assert_eq!(said(delay("a"), flow("a rest")), "\"rest\" is now a task, not a delay");
    let wait =
        |name: &str| flow("a").wait_for_signal_opt::<u32>("wait", name, None).then("b", |x: Option<u32>| async move { Ok(x.unwrap_or(0)) });
    assert_eq!(said(wait("go"), wait("start")), "\"wait\" now waits for \"start\", not for \"go\"");
}

#[test]
fn changes_inside_of_nodes_are_said_by_path() {
    let two = || fork(flow("a"), &[("x", "x1 x2"), ("y", "y1")]);
    assert_eq!(said(two(), fork(flow("a"), &[("x", "x1"), ("y", "y1")])), "\"join/x/x2\" (task) removed");
    assert_eq!(
        said(two(), fork(flow("a"), &[("y", "y1"), ("x", "x1 x2")])),
        "the branches of \"join\" are now \"y\", \"x\", not \"x\", \"y\""
    );
    assert_eq!(
        said(two(), fork(flow("a"), &[("x", "x1 x2"), ("z", "y1")])),
        "the branches of \"join\" are now \"x\", \"z\", not \"x\", \"y\"; \"join/y/y1\" moved to \"join/z/y1\" to the front"
    );
    assert_eq!(said(two(), flow("a")), "\"join\" (fork) removed", "and all that was in it");
    assert_eq!(said(flow("a"), two()), "\"join\" (fork) added");
    assert_eq!(
        said(route(flow("a"), &[("k", "x")], false), route(flow("a"), &[("k", "x"), ("l", "y")], true)),
        "the keys of \"route\" are now \"k\", \"l\", \"*\", not \"k\"; \"route/l/y\" (task) added; \"route/*/any\" (task) added"
    );
    let looped = |ids: &'static str| flow("a").loop_flow("l", move |s| body(s, ids), 3);
    assert_eq!(said(looped("b"), looped("b c")), "\"l/c\" (task) added");
    let child = |version: &str| flow("a").then_flow(tasks(start("child"), "c").version(version).build().unwrap());
    assert_eq!(said(child("1"), child("2")), "the version of \"child\" changed from \"1\" to \"2\"");
    let many = (0..40).map(|n| format!("t{n}")).collect::<Vec<_>>().join(" ");
    assert!(said(flow("a"), flow(&format!("a {many}"))).ends_with("and 28 more changes"));
}

/// Where an instance of the older definition can go on under the newer: `a` yes, `-b` no.
fn verdicts(old: Flow, new: Flow) -> String {
    let diff = diff(old, new);
    let paths = diff.older().nodes.iter().map(|node| node.path.as_str());
    let verdict = |path| if diff.can_go_on_at(path).is_yes() { path.to_owned() } else { format!("-{path}") };
    paths.map(verdict).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_comes_later_may_change_and_what_gave_the_value_may_not() {
    assert_eq!(verdicts(flow("a b c"), flow("a b c d")), "a b c");
    assert_eq!(verdicts(flow("a b c"), flow("a b x c")), "a b -c", "what c is to take is x's now");
    assert_eq!(verdicts(flow("a b c d"), flow("x a b c d")), "-a b c d", "b's value is a's still");
    assert_eq!(verdicts(flow("a b c"), flow("b a c")), "-a -b -c");
    assert_eq!(verdicts(flow("a b c"), flow("a c")), "a -b -c");
    let version = |v| tasks(flow("a").with_metadata(versioned(v)), "b c");
    assert_eq!(verdicts(version("1"), version("2")), "-a -b c", "a's output may be of another type");
    let rest = |ids, rest: &str| tasks(flow(ids).delay(rest, Duration::ZERO).delay("again", Duration::ZERO), "b");
    assert_eq!(verdicts(rest("a", "rest"), rest("x", "rest")), "-a -rest -again -b", "delays hand on what they were given");
    assert_eq!(verdicts(flow("a b").version("1"), flow("a b").version("2")), "a b", "the version says nothing of positions");
    assert_eq!(verdicts(flow("a b"), tasks(start("other"), "a b")), "-a -b");
}

#[test]
fn in_a_fork_and_in_a_loop_everything_must_be_the_same() {
    let two = |x, y| tasks(fork(flow("a"), &[("x", x), ("y", y)]), "z");
    assert_eq!(verdicts(two("x1 x2", "y1"), two("x1 x2", "y1 y2")), "a -join -join/x/x1 -join/x/x2 -join/y/y1 -z", "y may have ended");
    let looped = |ids: &'static str| tasks(flow("a").loop_flow("l", move |s| body(s, ids), 3), "z");
    assert_eq!(verdicts(looped("b c"), looped("b")), "a -l -l/b -l/c -l/done -z");
    let arms = |k, l| route(flow("a"), &[("k", k), ("l", l)], false);
    assert_eq!(
        verdicts(arms("k1 k2", "l1"), arms("k1 k2", "l2")),
        "a -route route/k/k1 route/k/k2 -route/l/l1 -unwrap",
        "an arm that is not taken has left nothing"
    );
    let child = |ids: &str| tasks(flow("a").then_flow(tasks(start("child"), ids).build().unwrap()), "z");
    assert_eq!(verdicts(child("b c"), child("b d")), "a -child child/b -child/c -z");
}

#[test]
fn a_position_may_have_iterations_and_must_be_known() {
    let looped = |ids: &'static str, more| tasks(flow("a").loop_flow("l", move |s| body(s, ids), 3), more);
    let diff = diff(looped("b", ""), looped("b", "more"));
    assert!(diff.can_go_on_at("l[2]/b").is_yes());
    assert_eq!(diff.can_go_on_at("gone").to_string(), "cannot go on: the older definition has no node \"gone\"");
}

#[test]
fn the_codec_is_part_of_it() {
    struct Other;
    impl Encoder for Other {}
    impl Decoder for Other {}
    impl EnvelopeCodec for Other {}
    impl<T: serde::Serialize> sayiir_core::codec::sealed::EncodeValue<T> for Other {
        fn encode_value(&self, value: &T) -> Result<bytes::Bytes, BoxError> {
            JsonCodec.encode(value)
        }
    }
    impl<T: serde::de::DeserializeOwned> sayiir_core::codec::sealed::DecodeValue<T> for Other {
        fn decode_value(&self, bytes: bytes::Bytes) -> Result<T, BoxError> {
            JsonCodec.decode(bytes)
        }
    }
    let context = WorkflowContext::new("w", Arc::new(Other), Arc::new(()));
    let other = WorkflowBuilder::new(context).then("a", |x: u32| async move { Ok(x) }).build().unwrap();
    let json = flow("a").build().unwrap();
    let diff = json.definition().diff(&other.definition());
    assert_eq!(diff.to_string(), "the codec changed from \"json\" to \"Other\"");
    assert_eq!(diff.codecs(), Some(("json", "Other")));
    assert_eq!(diff.can_go_on_at("a").to_string(), "cannot go on: stored payloads are of another codec");
}

#[test]
fn the_first_format_is_still_read() {
    let hash = *flow("a").build().unwrap().definition_hash();
    let old = format!(
        r#"{{"format":"sayiir-definition-1","name":"w","version":"","definition_hash":"{hash}",
            "nodes":[{{"path":"a","id":"a","kind":"task","task":"a"}}]}}"#
    );
    let old: WorkflowDefinition = serde_json::from_str(&old).unwrap();
    assert_eq!((old.format, old.codec.as_deref()), (DefinitionFormat::V1, None));
    let same = start("w").with_registry().then("a", |x: u32| async move { Ok(x) }).build().unwrap();
    assert!(same.to_runnable(&old).is_ok());
    assert!(old.diff(&same.definition()).is_empty());
    assert_eq!(old.diff(&flow("a b").build().unwrap().definition()).to_string(), "\"b\" (task) added");
    let versioned = flow("a").with_metadata(versioned("2")).build().unwrap().definition();
    let diff = old.diff(&versioned);
    assert_eq!(diff.to_string(), "something that was not kept of the older definition");
    let little = "cannot go on: too little was kept of one of the definitions";
    assert_eq!(diff.can_go_on_at("a").to_string(), little);
    assert_eq!(versioned.diff(&old).can_go_on_at("a").to_string(), little, "whichever of the two it is");
}
