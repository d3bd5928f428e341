//! The page on how to write a store names cases that there are.

use std::collections::BTreeSet;

use sayiir_store_testkit::CASES;

#[test]
fn every_case_that_the_page_names_exists() {
    let page = include_str!("../../../docs/writing-a-store.md");
    let cases: BTreeSet<_> = CASES.iter().map(|case| format!("{}::{}", case.topic, case.name)).collect();
    let topics: BTreeSet<_> = CASES.iter().map(|case| case.topic).collect();
    let in_backticks = page.split('`').skip(1).step_by(2);
    let named: Vec<_> = in_backticks.filter(|text| text.split_once("::").is_some_and(|(topic, _)| topics.contains(topic))).collect();
    assert!(named.len() >= 20, "only {} cases are named", named.len());
    for name in named {
        assert!(cases.contains(name), "the page names {name}, which is no case");
    }
}
