//! Figures, on demand: `cargo test --release -p sayiir-sqlite --test figures -- --ignored --nocapture`.
//! They are printed beside the store's own raw commit rate and never asserted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a test says what went wrong by panicking, and figures are printed"
)]

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{accepted, advance, definition, everything, open, open_with, place, request, session, start_leased, wait};
use rusqlite::Connection;
use sayiir_core::branch::Placement;
use sayiir_core::transition::{Next, Transition};
use sayiir_persistence::{BranchView, ClaimScope, StartOutcome, Store};
use sayiir_sqlite::{SqliteBackend, SqliteOptions, Synchronous};

const TIME: Duration = Duration::from_secs(3);

fn rate(name: &str, mut some: impl FnMut() -> usize) {
    let start = Instant::now();
    let mut done = 0;
    while start.elapsed() < TIME {
        done += some();
    }
    println!("{name:>44}: {:>9.0} /s", done as f64 / start.elapsed().as_secs_f64());
}

fn raw(path: &Path) {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (id INTEGER PRIMARY KEY, x BLOB)").unwrap();
    let blob = [7_u8; 300];
    rate("raw commits of one row", || {
        conn.prepare_cached("INSERT INTO t (x) VALUES (?1)").unwrap().execute([blob]).unwrap();
        1
    });
}

fn roots(store: &SqliteBackend, lease: sayiir_core::branch::LeaseId, prefix: &str, count: usize) -> Vec<BranchView> {
    (0..count).map(|number| start_leased(store, &format!("{prefix}{number}"), lease)).collect()
}

#[test]
#[ignore = "prints figures"]
fn commits() {
    let place = place();
    raw(&place.dir.path().join("raw.db"));
    let store = open(&place.file);
    let lease = session(&store);
    let mut roots = roots(&store, lease, "a", 64);
    let root = &mut roots[0];
    rate("transitions, one at a time", || {
        assert!(accepted(&wait(store.commit(lease, vec![next(root)])).unwrap()));
        1
    });
    rate("transitions, one request of 64", || {
        let batch = roots.iter_mut().map(next).collect();
        assert!(accepted(&wait(store.commit(lease, batch)).unwrap()));
        64
    });
    rate("transitions, 64 requests at once", || {
        let asked: Vec<_> = roots.iter_mut().map(|root| store.commit(lease, vec![next(root)])).collect();
        assert!(asked.into_iter().all(|answer| accepted(&wait(answer).unwrap())));
        64
    });
    let mut number = 0;
    rate("starts, 64 requests at once", || {
        let asked: Vec<_> = (0..64).map(|nonce| store.start(request(&format!("s{}", number + nonce), nonce, None))).collect();
        number += 64;
        assert!(asked.into_iter().all(|answer| wait(answer).is_ok()));
        64
    });
    rate("claims of 64", || wait(store.claim(everything(64, lease))).unwrap().len());
    linear("steps of linear instances, 64 in flight", &store);
    raw(&place.dir.path().join("raw2.db"));
    without_the_disk(&place.dir.path().join("off.db"));
}

/// Instances of five steps, 64 in flight: started leased, four steps, the last one finishes.
fn linear(name: &str, store: &SqliteBackend) {
    let lease = session(store);
    let mut number = 0_u128;
    rate(name, || {
        let asked: Vec<_> = (0..64).map(|n| store.start(request(&format!("l{}", number + n), n, Some(lease)))).collect();
        number += 64;
        let mut roots: Vec<_> = asked.into_iter().map(|answer| root_of(wait(answer).unwrap())).collect();
        for step in 0..5 {
            let commit = |root: &mut BranchView| {
                let mut transition = next(root);
                if step == 4 {
                    transition.next = Next::Finish;
                }
                store.commit(lease, vec![transition])
            };
            let asked: Vec<_> = roots.iter_mut().map(commit).collect();
            assert!(asked.into_iter().all(|answer| accepted(&wait(answer).unwrap())));
        }
        64 * 5
    });
}

fn root_of(outcome: StartOutcome) -> BranchView {
    match outcome {
        StartOutcome::Fresh { root: Some(root), .. } => *root,
        other => panic!("{other:?}"),
    }
}

/// What is left when the disk costs nothing.
fn without_the_disk(path: &Path) {
    let options = SqliteOptions::default().with_synchronous(Synchronous::MayDestroyFileOnPowerFailure);
    let store = open_with(path, options).unwrap();
    let lease = session(&store);
    linear("no fsync: steps of linear instances", &store);
    let mut roots = roots(&store, lease, "a", 64);
    rate("no fsync: transitions, one request of 64", || {
        let batch = roots.iter_mut().map(next).collect();
        assert!(accepted(&wait(store.commit(lease, batch)).unwrap()));
        64
    });
    rate("no fsync: 64 requests at once", || {
        let asked: Vec<_> = roots.iter_mut().map(|root| store.commit(lease, vec![next(root)])).collect();
        assert!(asked.into_iter().all(|answer| accepted(&wait(answer).unwrap())));
        64
    });
}

fn next(root: &mut BranchView) -> Transition {
    let transition = advance(&root.instance_id, root.run, root.revision);
    root.revision += 1;
    transition
}

#[test]
#[ignore = "prints figures"]
fn a_step_and_a_claim_beside_many_rows() {
    let place = place();
    let store = open(&place.file);
    let lease = session(&store);
    for size in [1_000_u128, 300_000] {
        for chunk in (0..size).step_by(256) {
            let ask = |number: u128| {
                let mut start = request(&format!("{size}-{number}"), number, None);
                let tag = if number.is_multiple_of(10) { "ours".to_owned() } else { format!("t{}", number % 20) };
                start.placement = Placement { tags: Arc::from([tag]), ..Placement::default() };
                store.start(start)
            };
            let asked: Vec<_> = (chunk..(chunk + 256).min(size)).map(ask).collect();
            assert!(asked.into_iter().all(|answer| wait(answer).is_ok()));
        }
        println!("{size} instances, file {} MB", fs::metadata(&place.file).unwrap().len() >> 20);
        let mut root = start_leased(&store, &format!("mine{size}"), lease);
        rate("transitions, one at a time", || {
            let transition = advance(&root.instance_id, root.run, root.revision);
            root.revision += 1;
            assert!(accepted(&wait(store.commit(lease, vec![transition])).unwrap()));
            1
        });
        let scope = ClaimScope::Definitions {
            hashes: [definition().hash].into(),
            tags: ["ours".to_owned()].into(),
            ageing: Duration::from_mins(5),
        };
        let start = Instant::now();
        let taken = wait(store.claim(sayiir_persistence::ClaimRequest { scope, ..everything(64, lease) })).unwrap().len();
        println!("claim of {taken}: {:?}", start.elapsed());
    }
}
