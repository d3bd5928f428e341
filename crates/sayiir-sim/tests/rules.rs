//! With every rule of the store protocol nothing is found; without any one of them something is. A seed decides all.
#![allow(clippy::panic, reason = "tests")]

use sayiir_core::rules::Rule;
use sayiir_sim::simulate;

/// So many seeds find every broken rule.
const SEEDS: u64 = 6000;

#[test]
fn every_rule_is_missed() {
    for rule in Rule::ALL {
        let found = (1..=SEEDS).find_map(|seed| simulate(seed, Some(*rule)).violation.map(|violation| (seed, violation)));
        match found {
            Some((seed, violation)) => println!("{}: seed {seed}: {violation}", rule.broken()),
            None => panic!("nobody misses {rule:?} ({})", rule.broken()),
        }
    }
}

#[test]
fn with_every_rule_nothing_is_found() {
    for seed in 1..=300 {
        let outcome = simulate(seed, None);
        assert_eq!(outcome.violation, None, "seed {seed}\n{}", outcome.trace.join("\n"));
    }
}

#[test]
fn a_seed_is_replayed_exactly() {
    for seed in 1..=20 {
        assert_eq!(simulate(seed, None), simulate(seed, None));
    }
    let broken = || simulate(2, Some(Rule::EventWithTransition));
    assert_eq!(broken(), broken());
}

#[test]
fn every_fault_is_met() {
    let mut met = std::collections::BTreeSet::new();
    for seed in 1..=300 {
        met.extend(simulate(seed, None).faults.into_keys());
    }
    for fault in ["crash", "restart", "lost_request", "lost_reply", "late", "doubled", "lease_expired_under_owner"] {
        assert!(met.contains(fault), "{fault}: {met:?}");
    }
}
