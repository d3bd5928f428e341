//! Search attributes, and how instances are found by them, by age, by error, and newest first.

use std::sync::Arc;
use std::time::Duration;

use sayiir_core::attribute::{AttributeValue, SearchAttributes};
use sayiir_core::branch::LeaseId;
use sayiir_core::time::Timestamp;
use sayiir_core::workflow::ConflictPolicy;
use sayiir_persistence::{
    AgeRange, AttributeFilter, BranchView, ControlAction, Definition, InstanceFilter, ListOrder, RunState, StartRun, StoreError,
};

use super::{HOUR, MINUTE, SECOND};
use crate::bench::{advance, fail, finish, fork, fresh};
use crate::{Bench, Factory, TTL, wait};

fn attributes(found: &[(&str, AttributeValue)]) -> SearchAttributes {
    found.iter().map(|(name, value)| (Arc::from(*name), value.clone())).collect()
}

fn start_with(bench: &Bench, id: &str, found: &[(&str, AttributeValue)]) {
    fresh(bench.start_with(StartRun { attributes: attributes(found), ..bench.request(id) }));
}

fn set(bench: &Bench, lease: LeaseId, view: &BranchView, found: &[(&str, AttributeValue)]) -> Result<bool, StoreError> {
    wait(bench.store.set_search_attributes(lease, view.run, view.branch.clone(), attributes(found)))
}

fn of(bench: &Bench, id: &str) -> SearchAttributes {
    let record = bench.record(id).summary.attributes;
    let listed = wait(bench.store.list(InstanceFilter::default())).unwrap().into_iter().find(|summary| &*summary.instance_id == id);
    assert_eq!(listed.map(|summary| summary.attributes).as_ref(), Some(&record), "a list shows them too");
    record
}

fn list(bench: &Bench, filter: InstanceFilter) -> String {
    wait(bench.store.list(filter)).unwrap().iter().map(|summary| summary.instance_id.to_string()).collect::<Vec<_>>().join(" ")
}

fn found_by(bench: &Bench, filters: &[AttributeFilter]) -> String {
    list(bench, InstanceFilter { attributes: filters.to_vec(), ..InstanceFilter::default() })
}

pub fn attributes_come_with_the_start_and_from_tasks(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let at = Timestamp::from_micros(1_234_567);
    let all = [("text", "é".into()), ("number", (-3).into()), ("yes", true.into()), ("no", false.into()), ("at", at.into())];
    start_with(&bench, "i", &all);
    assert_eq!(of(&bench, "i"), attributes(&all));
    assert_eq!(of_new(&bench, "without"), SearchAttributes::new());
    let view = bench.claim(lease).into_iter().find(|view| &*view.instance_id == "i").unwrap();
    let (revision, rows) = (bench.record("i").branches[0].revision, bench.journal(view.run).len());
    assert!(set(&bench, lease, &view, &[("number", "now a text".into()), ("new", 1.into())]).unwrap());
    let mut after = attributes(&all);
    after.extend(attributes(&[("number", "now a text".into()), ("new", 1.into())]));
    assert_eq!(of(&bench, "i"), after);
    let record = bench.record("i");
    assert_eq!((record.branches[0].revision, bench.journal(view.run).len()), (revision, rows), "it is no step");
    bench.ok(lease, advance(&view, "1", "b"));
    bench.ok(lease, finish(&bench.reload(lease, &view), "out"));
    assert_eq!(of(&bench, "i"), after, "an ended instance is found by them, too");
}

fn of_new(bench: &Bench, id: &str) -> SearchAttributes {
    bench.start(id);
    of(bench, id)
}

pub fn setting_attributes_is_fenced(make: Factory<'_>) {
    let bench = Bench::new(make);
    let (one, two) = (bench.lease(), bench.lease());
    let view = bench.start_held("i", one);
    assert!(!set(&bench, two, &view, &[("a", 1.into())]).unwrap(), "another's branch");
    bench.tick(TTL);
    assert!(set(&bench, one, &view, &[("a", 1.into())]).unwrap(), "until somebody takes over");
    let taken = bench.claim_one(two);
    assert!(!set(&bench, one, &view, &[("a", 2.into())]).unwrap(), "taken over");
    assert!(set(&bench, two, &taken, &[("b", 3.into())]).unwrap());
    bench.ok(two, fork(&taken, "f", 1, 1));
    let child = wait(bench.store.load(two, taken.run, vec![])).unwrap().remove(0);
    assert!(!set(&bench, two, &taken, &[("a", 4.into())]).unwrap(), "a waiting parent is nobody's");
    assert!(set(&bench, two, &child, &[("c", 5.into())]).unwrap(), "of the instance, by any of its branches");
    assert_eq!(of(&bench, "i"), attributes(&[("a", 1.into()), ("b", 3.into()), ("c", 5.into())]));
    bench.apply("i", ControlAction::Cancel);
    assert!(!set(&bench, two, &child, &[("a", 6.into())]).unwrap(), "ended");
    fresh(bench.start_with(StartRun { policy: ConflictPolicy::TerminateExisting, ..bench.request("i") }));
    assert!(!set(&bench, two, &child, &[("a", 7.into())]).unwrap(), "replaced");
    assert_eq!(of(&bench, "i"), SearchAttributes::new());
}

pub fn attributes_go_with_their_run(make: Factory<'_>) {
    let bench = Bench::new(make);
    start_with(&bench, "i", &[("old", 1.into())]);
    let attributes_of_new = attributes(&[("new", 2.into())]);
    let again = StartRun { policy: ConflictPolicy::TerminateExisting, attributes: attributes_of_new.clone(), ..bench.request("i") };
    fresh(bench.start_with(again));
    assert_eq!(of(&bench, "i"), attributes_of_new);
    assert_eq!(found_by(&bench, &[AttributeFilter::is("old", 1)]), "");
    assert!(wait(bench.store.delete("i")).unwrap());
    assert_eq!(of_new(&bench, "i"), SearchAttributes::new());
    assert_eq!(found_by(&bench, &[AttributeFilter::is("new", 2)]), "");
}

pub fn attributes_that_are_too_many_or_too_large_are_refused(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let limits = bench.store.limits();
    let view = bench.start_held("i", lease);
    let many =
        |count: usize| -> SearchAttributes { (0..count).map(|n| (Arc::from(format!("n{n}")), AttributeValue::Integer(0))).collect() };
    let long = |length: usize| "x".repeat(length);
    let refused = [
        many(limits.attributes + 1),
        attributes(&[(&long(limits.attribute_name_bytes + 1), 1.into())]),
        attributes(&[("a", long(limits.attribute_bytes + 1).into())]),
        attributes(&[("", 1.into())]),
        attributes(&[("a\0b", 1.into())]),
        attributes(&[("a", "b\0c".into())]),
    ];
    for bad in refused {
        assert!(wait(bench.store.start(StartRun { attributes: bad.clone(), ..bench.request("bad") })).is_err());
        assert!(wait(bench.store.set_search_attributes(lease, view.run, view.branch.clone(), bad)).is_err());
    }
    assert_eq!(wait(bench.store.instance("bad")).unwrap(), None);
    assert_eq!(of(&bench, "i"), SearchAttributes::new());
    let most = many(limits.attributes);
    assert!(wait(bench.store.set_search_attributes(lease, view.run, view.branch.clone(), most.clone())).unwrap());
    assert!(set(&bench, lease, &view, &[("n0", "over another".into())]).unwrap(), "no name more");
    assert!(set(&bench, lease, &view, &[("n1", 7.into()), ("one more", 1.into())]).is_err());
    let after: SearchAttributes = most.into_iter().chain(attributes(&[("n0", "over another".into())])).collect();
    assert_eq!(of(&bench, "i"), after, "all or nothing");
    let longest = [(&*long(limits.attribute_name_bytes), long(limits.attribute_bytes).into())];
    start_with(&bench, "longest", &longest);
    assert_eq!(of(&bench, "longest"), attributes(&longest));
}

pub fn instances_are_found_by_attributes(make: Factory<'_>) {
    let bench = Bench::new(make);
    let at = |micros| Timestamp::from_micros(micros);
    start_with(&bench, "a", &[("customer", "acme".into()), ("euros", 10.into()), ("paid", true.into()), ("at", at(5).into())]);
    start_with(&bench, "b", &[("customer", "acme".into()), ("euros", 20.into()), ("paid", false.into()), ("at", at(7).into())]);
    start_with(&bench, "c", &[("customer", "zeta".into()), ("euros", "20".into()), ("paid", 1.into()), ("at", 6.into())]);
    start_with(&bench, "d", &[("other", "acme".into()), ("euros", (-5).into())]);
    bench.start("e");
    let found = |filters: &[AttributeFilter]| found_by(&bench, filters);
    assert_eq!(found(&[AttributeFilter::is("customer", "acme")]), "a b");
    assert_eq!(found(&[AttributeFilter::is("customer", "acm")]), "");
    assert_eq!(found(&[AttributeFilter::is("customer", "ACME")]), "");
    assert_eq!(found(&[AttributeFilter::is("euros", 20)]), "b", "a text is no integer");
    assert_eq!(found(&[AttributeFilter::is("euros", "20")]), "c");
    assert_eq!(found(&[AttributeFilter::is("paid", true)]), "a");
    assert_eq!(found(&[AttributeFilter::is("paid", 1)]), "c");
    assert_eq!(found(&[AttributeFilter::is("at", at(7))]), "b");
    assert_eq!(found(&[AttributeFilter::at_least("euros", 10)]), "a b");
    assert_eq!(found(&[AttributeFilter::at_most("euros", 10)]), "a d");
    assert_eq!(found(&[AttributeFilter::at_least("at", at(6))]), "b", "an integer is no time");
    assert_eq!(found(&[AttributeFilter::at_most("at", at(6))]), "a");
    assert_eq!(found(&[AttributeFilter::is("customer", "acme"), AttributeFilter::at_least("euros", 15)]), "b");
    assert_eq!(found(&[AttributeFilter::at_least("euros", 5), AttributeFilter::at_most("euros", 15)]), "a");
    assert_eq!(found(&[AttributeFilter::is("nobody", 1)]), "");
    for bad in [AttributeFilter::at_least("customer", "a"), AttributeFilter::at_most("paid", true)] {
        let filter = InstanceFilter { attributes: vec![bad], ..InstanceFilter::default() };
        assert!(matches!(wait(bench.store.list(filter)), Err(StoreError::Misused { .. })), "only numbers have an order");
    }
    bench.apply("b", ControlAction::Cancel);
    let acme = || vec![AttributeFilter::is("customer", "acme")];
    let filter = InstanceFilter { attributes: acme(), states: vec![RunState::Running], ..InstanceFilter::default() };
    assert_eq!(list(&bench, filter), "a");
    let filter = InstanceFilter { attributes: acme(), workflow: Some("other".into()), ..InstanceFilter::default() };
    assert_eq!(list(&bench, filter), "");
    let page =
        |after: Option<&str>| InstanceFilter { attributes: acme(), after: after.map(Arc::from), limit: Some(1), ..Default::default() };
    assert_eq!(
        (list(&bench, page(None)), list(&bench, page(Some("a"))), list(&bench, page(Some("b")))),
        ("a".into(), "b".into(), String::new())
    );
}

fn age(at_least: Option<Duration>, at_most: Option<Duration>) -> AgeRange {
    AgeRange { at_least, at_most }
}

pub fn instances_are_found_by_age_and_error(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    bench.ok(lease, fail(&bench.start_held("a", lease), "first: Card refused (code 7)"));
    bench.tick(HOUR);
    let late = bench.start_held("b", lease);
    bench.tick(SECOND);
    bench.ok(lease, fail(&late, "it broke"));
    bench.start("c");
    bench.tick(MINUTE);
    let all = InstanceFilter::default;
    let error = |text: &str| list(&bench, InstanceFilter { error_contains: Some(text.into()), ..all() });
    assert_eq!(error("refused (code"), "a");
    assert_eq!(error("broke"), "b");
    assert_eq!(error("r"), "a b");
    assert_eq!((error("CARD"), error("%")), (String::new(), String::new()), "letter by letter");
    let created = |range| list(&bench, InstanceFilter { created: range, ..all() });
    assert_eq!(created(age(Some(HOUR), None)), "a");
    assert_eq!(created(age(None, Some(HOUR))), "b c");
    assert_eq!(created(age(Some(MINUTE), Some(MINUTE))), "c", "both bounds belong to it");
    assert_eq!(created(age(Some(MINUTE + SECOND), Some(HOUR))), "b");
    assert_eq!(created(age(Some(Duration::MAX), None)), "");
    assert_eq!(created(age(None, Some(Duration::MAX))), "a b c");
    let updated = |range| list(&bench, InstanceFilter { updated: range, ..all() });
    assert_eq!(updated(age(Some(MINUTE), Some(MINUTE))), "b c");
    assert_eq!(updated(age(Some(HOUR), None)), "a");
    let both =
        InstanceFilter { error_contains: Some("r".into()), updated: age(None, Some(MINUTE)), states: vec![RunState::Failed], ..all() };
    assert_eq!(list(&bench, both), "b");
    let none = InstanceFilter { error_contains: Some("r".into()), states: vec![RunState::Running], ..all() };
    assert_eq!(list(&bench, none), "");
}

pub fn the_newest_come_first_in_pages(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    let other = |id: &str| {
        let definition = Definition { hash: "other".into(), name: Arc::from("other"), version: Arc::from("1"), document: None };
        fresh(bench.start_with(StartRun { definition, ..bench.request(id) }));
    };
    for id in ["d", "a", "e", "b"] {
        bench.start(id);
    }
    other("c");
    bench.ok(lease, fail(&bench.start_held("f", lease), "broken"));
    let again = StartRun { policy: ConflictPolicy::TerminateExisting, lease: Some((lease, TTL)), ..bench.request("d") };
    let replaced = fresh(bench.start_with(again)).1.unwrap();
    bench.ok(lease, fail(&replaced, "broken"));
    let newest = |filter: InstanceFilter, limit: usize| -> String {
        let (mut ids, mut before) = (Vec::new(), None);
        loop {
            let order = ListOrder::NewestFirst { before };
            let page = wait(bench.store.list(InstanceFilter { order, limit: Some(limit), ..filter.clone() })).unwrap();
            assert!(page.len() <= limit && ids.len() < 20, "a page begins behind the one before it");
            let Some(last) = page.last() else { return ids.join("") };
            before = Some(last.run);
            ids.extend(page.iter().map(|summary| summary.instance_id.to_string()));
        }
    };
    for limit in [1, 2, 3, 100] {
        assert_eq!(newest(InstanceFilter::default(), limit), "dfcbea", "in pages of {limit}: the run counts, not the id");
        assert_eq!(newest(InstanceFilter { workflow: Some("workflow".into()), ..Default::default() }, limit), "dfbea");
        assert_eq!(newest(InstanceFilter { states: vec![RunState::Failed], ..Default::default() }, limit), "df");
        let live = vec![RunState::Running, RunState::Completed];
        assert_eq!(newest(InstanceFilter { states: live, ..Default::default() }, limit), "cbea");
    }
    let confused = InstanceFilter { after: Some(Arc::from("a")), order: ListOrder::NewestFirst { before: None }, ..Default::default() };
    assert!(matches!(wait(bench.store.list(confused)), Err(StoreError::Misused { .. })));
}

pub fn lists_of_several_workflows_and_states_are_merged(make: Factory<'_>) {
    let bench = Bench::new(make);
    let lease = bench.lease();
    for (number, id) in ["c", "a", "e", "b", "d", "f"].into_iter().enumerate() {
        // Two definitions of one name.
        let hash = if number % 2 == 0 { "one" } else { "two" };
        let definition = Definition { hash: hash.into(), name: Arc::from("flow"), version: Arc::from(hash), document: None };
        let started = StartRun { definition, lease: Some((lease, TTL)), ..bench.request(id) };
        let view = fresh(bench.start_with(started)).1.unwrap();
        match id {
            "a" | "d" => drop(bench.ok(lease, fail(&view, "broken"))),
            "b" => drop(bench.ok(lease, finish(&view, "out"))),
            "c" => bench.apply("c", ControlAction::Pause),
            _ => {}
        }
    }
    bench.start("g");
    let pages = |filter: InstanceFilter| -> String {
        let (mut ids, mut after) = (String::new(), None);
        loop {
            let page = wait(bench.store.list(InstanceFilter { after, limit: Some(2), ..filter.clone() })).unwrap();
            let Some(last) = page.last() else { return ids };
            after = Some(Arc::clone(&last.instance_id));
            ids.extend(page.iter().map(|summary| &*summary.instance_id));
            assert!(ids.len() < 20);
        }
    };
    let flow = || InstanceFilter { workflow: Some("flow".into()), ..InstanceFilter::default() };
    assert_eq!(pages(flow()), "abcdef");
    assert_eq!(pages(InstanceFilter { states: vec![RunState::Failed, RunState::Paused, RunState::Failed], ..flow() }), "acd");
    assert_eq!(pages(InstanceFilter { states: vec![RunState::Running], ..flow() }), "ef");
    assert_eq!(pages(InstanceFilter { states: vec![RunState::Completed, RunState::Failed], ..flow() }), "abd");
    assert_eq!(pages(InstanceFilter { states: vec![RunState::Running], ..InstanceFilter::default() }), "efg");
}
