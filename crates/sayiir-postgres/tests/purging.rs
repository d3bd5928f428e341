//! Purges by several processes at once, beside starts that take the same ids.
#![allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm, reason = "a test says what went wrong by panicking")]

mod common;

use std::time::Duration;

use sayiir_core::transition::{EventGuard, Next};
use sayiir_core::workflow::ConflictPolicy;
use sayiir_persistence::{PurgeRequest, Purgeable, StartOutcome, StartRun, Store};
use sayiir_pg_testserver::Settings;
use sayiir_postgres::PostgresBackend;
use sayiir_store_testkit::wait;

use common::*;

const ENDED: usize = 300;
const TAKEN: usize = 60;

/// Purges until nothing is left that had ended; how many it removed.
fn purge_all(store: &PostgresBackend) -> u64 {
    let mut removed = 0;
    loop {
        match wait(store.purge(PurgeRequest { what: Purgeable::Ended { workflow: None }, older_than: Duration::ZERO, limit: 20 })).unwrap()
        {
            0 => return removed,
            some => removed += some,
        }
    }
}

#[test]
fn what_has_ended_is_purged_once_and_what_took_its_place_is_not() {
    let server = own_server(&Settings::fast());
    let stores = [open_at(&server, options("purging")), open_at(&server, options("purging"))];
    let mut raw = raw(&server.url(), "purging");
    let [ours, theirs] = &stores;
    let lease = session(ours);
    let starts: Vec<_> = (0..ENDED).map(|number| ours.start(request(&format!("i{number}"), 1, Some(lease)))).collect();
    let ends = RUNTIME.block_on(futures_util::future::join_all(starts)).into_iter().map(|started| match started.unwrap() {
        StartOutcome::Fresh { root: Some(view), .. } => transition(&view, Some(entry("last", "out")), EventGuard::None, Next::Finish),
        other => panic!("{other:?}"),
    });
    assert!(accepted(&wait(ours.commit(lease, ends.collect())).unwrap()));
    let removed: u64 = std::thread::scope(|scope| {
        let taking = scope.spawn(|| {
            for number in 0..TAKEN {
                let start = StartRun { policy: ConflictPolicy::TerminateExisting, ..request(&format!("i{number}"), 2, None) };
                assert!(matches!(wait(theirs.start(start)).unwrap(), StartOutcome::Fresh { .. }));
            }
        });
        let purging = [ours, theirs, ours].map(|store| scope.spawn(|| purge_all(store)));
        taking.join().unwrap();
        purging.into_iter().map(|purge| purge.join().unwrap()).sum()
    });
    // Each was purged, or its id was taken before.
    let (ended, taken) = (u64::try_from(ENDED).unwrap(), u64::try_from(TAKEN).unwrap());
    assert!((ended - taken..=ended).contains(&removed), "{removed}");
    assert_eq!(purge_all(ours), 0);
    for (table, left) in [("instance", TAKEN), ("branch", TAKEN), ("event", 0), ("attribute", 0)] {
        assert_eq!(number(&mut raw, &format!("SELECT count(*) FROM {table}")), i64::try_from(left).unwrap(), "{table}");
    }
    assert_eq!(number(&mut raw, "SELECT count(*) FROM instance WHERE status = 1"), i64::try_from(TAKEN).unwrap());
    until(&mut raw, "SELECT count(*) FROM purge", 0);
    let orphans = "SELECT count(*) FROM journal j WHERE NOT EXISTS (SELECT 1 FROM instance i WHERE j.run IN (i.run, i.previous))";
    assert_eq!(number(&mut raw, orphans), 0);
    assert!(!server.log().contains("deadlock detected"), "locks are taken in one order");
}
