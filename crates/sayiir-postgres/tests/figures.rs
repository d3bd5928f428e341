//! What a step costs: statements, log and rows, counted by the server itself. Times are printed, never asserted.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    clippy::cast_precision_loss,
    reason = "a test says what went wrong by panicking"
)]

mod common;

use std::time::Instant;

use futures_util::future::join_all;
use sayiir_core::branch::{Head, LeaseId, Phase, Placement};
use sayiir_core::transition::{Child, EventGuard, Next, Transition, Wake};
use sayiir_persistence::{BranchView, Store};
use sayiir_pg_testserver::{PgServer, Settings};
use sayiir_postgres::PostgresBackend;
use sayiir_store_testkit::wait;

use common::*;

const INSTANCES: usize = 64;
const STEPS: u64 = 30;

/// So many statements the server has run.
fn statements(server: &PgServer) -> usize {
    server.log().lines().filter(|line| line.contains(" execute ") || line.contains(" statement: ")).count()
}

/// Those of them that are not the announcement of something earlier.
fn without_announcements(server: &PgServer) -> usize {
    server.log().lines().filter(|line| line.contains(" execute ") && !line.contains("pg_notify")).count()
}

async fn steps(store: PostgresBackend, lease: LeaseId, view: BranchView, count: u64) {
    for revision in view.revision..view.revision + count {
        let outcomes = store.commit(lease, vec![advance(&view.instance_id, view.run, revision)]).await.unwrap();
        assert!(accepted(&outcomes), "{outcomes:?}");
    }
}

/// Many instances step at once, as they do under load.
fn under_load(store: &PostgresBackend, lease: LeaseId, views: &[BranchView], count: u64) {
    let tasks = views.iter().map(|view| RUNTIME.spawn(steps(store.clone(), lease, view.clone(), count)));
    for done in RUNTIME.block_on(join_all(tasks)) {
        done.unwrap();
    }
}

fn later(view: &BranchView, by: u64) -> BranchView {
    BranchView { revision: view.revision + by, ..view.clone() }
}

#[test]
fn a_step_costs_few_statements_little_log_and_no_index() {
    let server = own_server(&Settings::durable().with("log_min_duration_statement", "0").with("autovacuum", "off"));
    let store = open_at(&server, options("figures"));
    let mut raw = raw(&server.url(), "figures");
    let lease = session(&store);
    let views: Vec<_> = (0..INSTANCES).map(|n| start_leased(&store, &format!("i{n}"), lease)).collect();
    under_load(&store, lease, &views, 2);
    let views: Vec<_> = views.iter().map(|view| later(view, 2)).collect();
    execute(&mut raw, "CHECKPOINT");
    let lsn = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint";
    let (log, asked, begun) = (number(&mut raw, lsn), statements(&server), Instant::now());
    under_load(&store, lease, &views, STEPS);
    let (took, all) = (begun.elapsed(), INSTANCES as f64 * STEPS as f64);
    let log = (number(&mut raw, lsn) - log) as f64 / all;
    let asked = (statements(&server) - asked) as f64 / all;
    println!("under load: {:.0} steps/s, {asked:.3} statements and {log:.0} bytes of log a step", all / took.as_secs_f64());
    assert!(asked <= 2.0, "{asked} statements a step");
    assert!(log <= 1228.8, "{log} bytes of log a step");
    // Connections tell their counts when they end.
    drop(store);
    let moved = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE schemaname = 'figures' AND relname = 'branch'";
    until(&mut raw, moved, (INSTANCES as u64 * (STEPS + 2)).try_into().unwrap());
    let hot = number(&mut raw, &moved.replace("n_tup_upd", "n_tup_hot_upd")) as f64 / (INSTANCES as f64 * (STEPS as f64 + 2.0));
    println!("of these updates {:.1} % are HOT, without a vacuum", hot * 100.0);
    assert!(hot > 0.5, "only {hot} of the updates are HOT");
}

#[test]
fn a_lone_step_is_one_statement() {
    let server = own_server(&Settings::durable().with("log_min_duration_statement", "0"));
    let store = open_at(&server, options("lone"));
    let lease = session(&store);
    let view = start_leased(&store, "i", lease);
    under_load(&store, lease, std::slice::from_ref(&view), 3);
    let (asked, begun) = (without_announcements(&server), Instant::now());
    under_load(&store, lease, &[later(&view, 3)], 100);
    let asked = without_announcements(&server) - asked;
    println!("alone: {:.2} ms a step, {asked} statements for 100 steps", begun.elapsed().as_secs_f64() * 10.0);
    assert_eq!(asked, 100);
}

/// A start is one statement, and so is an end. (What tells other processes of them is one more for many.)
#[test]
fn a_run_of_five_steps_is_few_statements() {
    let server = own_server(&Settings::durable().with("log_min_duration_statement", "0"));
    let store = open_at(&server, options("linear"));
    let lease = session(&store);
    let run = |store: PostgresBackend, id: String| async move {
        let started = store.start(request(&id, 1, Some(lease))).await.unwrap();
        let sayiir_persistence::StartOutcome::Fresh { root: Some(view), .. } = started else { panic!("{started:?}") };
        steps(store.clone(), lease, (*view).clone(), 4).await;
        let last = transition(&later(&view, 4), Some(entry("last", "out")), EventGuard::None, Next::Finish);
        let outcomes = store.commit(lease, vec![last]).await.unwrap();
        assert!(accepted(&outcomes), "{outcomes:?}");
    };
    let batch = |from: usize, to: usize| {
        let tasks = (from..to).map(|n| RUNTIME.spawn(run(store.clone(), format!("i{n}"))));
        for done in RUNTIME.block_on(join_all(tasks)) {
            done.unwrap();
        }
    };
    batch(0, 64);
    let (asked, begun) = (statements(&server), Instant::now());
    for round in 1..=4 {
        batch(round * 64, (round + 1) * 64);
    }
    let (took, steps) = (begun.elapsed(), 4.0 * 64.0 * 5.0);
    let asked = (statements(&server) - asked) as f64 / steps;
    println!("runs of 5 steps, 64 at once: {:.0} steps/s, {asked:.3} statements a step", steps / took.as_secs_f64());
    assert!(asked <= 2.0, "{asked} statements a step");
}

/// One statement for a batch against one for each: the same transitions, in turn.
#[test]
fn a_batch_is_one_statement() {
    let server = own_server(&Settings::durable().with("log_min_duration_statement", "0"));
    let store = open_at(&server, options("batch").with_committers(1));
    let lease = session(&store);
    let views: Vec<_> = (0..INSTANCES).map(|n| start_leased(&store, &format!("i{n}"), lease)).collect();
    let (mut together, mut singly) = (0.0, 0.0);
    for round in 0..20 {
        let all: Vec<Transition> = views.iter().map(|view| advance(&view.instance_id, view.run, view.revision + round)).collect();
        let asked = without_announcements(&server);
        let begun = Instant::now();
        if round % 2 == 0 {
            assert!(accepted(&wait(store.commit(lease, all)).unwrap()));
            together += begun.elapsed().as_secs_f64() * 100.0;
            assert_eq!(without_announcements(&server) - asked, 1);
        } else {
            for one in all {
                assert!(accepted(&wait(store.commit(lease, vec![one])).unwrap()));
            }
            singly += begun.elapsed().as_secs_f64() * 100.0;
            assert_eq!(without_announcements(&server) - asked, INSTANCES);
        }
    }
    println!("64 advances: {together:.2} ms together, {singly:.2} ms one by one");
}

/// The full statement, with members of several kinds: releases that are taken again, and forks whose children end together.
#[test]
fn other_transitions_share_statements_too() {
    let server = own_server(&Settings::durable().with("log_min_duration_statement", "0"));
    let store = open_at(&server, options("mixed").with_committers(1));
    let lease = session(&store);
    for n in 0..INSTANCES {
        wait(store.start(request(&format!("i{n}"), 1, None))).unwrap();
    }
    let together = |what: &str, transitions: Vec<Transition>| {
        let (asked, begun) = (without_announcements(&server), Instant::now());
        let outcomes = wait(store.commit(lease, transitions)).unwrap();
        let took = begun.elapsed().as_secs_f64() * 1000.0;
        let asked = without_announcements(&server) - asked;
        assert!(accepted(&outcomes), "{outcomes:?}");
        println!("{} {what}: {took:.2} ms, {asked} statements", outcomes.len());
        asked
    };
    for _ in 0..4 {
        let views = wait(store.claim(everything(INSTANCES, lease))).unwrap();
        assert_eq!(views.len(), INSTANCES);
        let release = |view: &BranchView| {
            let next = Next::Release { head: view.head.clone(), wake: Wake::Now, placement: Placement::default() };
            transition(view, Some(entry("delay", "x")), EventGuard::None, next)
        };
        assert_eq!(together("releases", views.iter().map(release).collect()), 1);
    }
    let views = wait(store.claim(everything(INSTANCES, lease))).unwrap();
    let fork = |view: &BranchView| {
        let head = Head { phase: Phase::Joining, fork_revision: view.revision + 1, ..view.head.clone() };
        let child = |_| Child { head: at("child", 1), placement: Placement::default() };
        let next = Next::Fork { head, children: (0..10).map(child).collect(), keep: 10 };
        transition(view, Some(entry("fork", "x")), EventGuard::None, next)
    };
    assert_eq!(together("forks of 10", views.iter().map(fork).collect()), 1);
    let children: Vec<_> = views.iter().flat_map(|view| wait(store.load(lease, view.run, vec![])).unwrap()).collect();
    assert_eq!(children.len(), 10 * INSTANCES);
    let end = |view: &BranchView| transition(view, Some(entry("child", "out")), EventGuard::None, Next::EndBranch);
    let asked = together("ends of children", children.iter().map(end).collect());
    // 100 in a statement, and the parents that were readied are read after it.
    assert!(asked <= 14, "{asked} statements");
}

/// Much that is due but not ours costs nothing.
#[test]
fn a_claim_looks_at_its_own_lanes() {
    let server = own_server(&Settings::durable());
    let store = open_at(&server, options("claims"));
    let mut raw = raw(&server.url(), "claims");
    let lease = session(&store);
    start_leased(&store, "ours", lease);
    execute(
        &mut raw,
        "INSERT INTO branch (run, branch, revision, input_branch, input_revision, fork_revision, due_at, run_at, moved_at, attempt_at, lane, \
         attempt, phase, priority, node) SELECT 1000000 + g, '0', 1, '0', 1, 0, g, g, g, g, 1000 + g % 19, 0, 0, 3, 'n' \
         FROM generate_series(1, 200000) g; ANALYZE branch",
    );
    for n in 0..64 {
        wait(store.start(request(&format!("due{n}"), 1, None))).unwrap();
    }
    let views = wait(store.claim(everything(64, lease))).unwrap();
    assert_eq!(views.len(), 64);
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(wait(store.claim(everything(64, lease))).unwrap(), []);
    }
    println!("a claim that finds nothing among 200,000 due of others: {:.2} ms", begun.elapsed().as_secs_f64() * 50.0);
    let read = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE schemaname = 'claims' AND indexrelname = 'branch_due'";
    drop(store);
    until(&mut raw, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sayiir'", 0);
    let looked = number(&mut raw, read);
    println!("{looked} index entries were read for 64 claimed branches and 20 claims of nothing");
    assert!(looked < 2_000, "{looked} entries");
}
