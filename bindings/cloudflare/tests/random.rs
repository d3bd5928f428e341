//! Random workflows on the store of D1 and Durable Objects come to what the reference says, also with a crash before or after
//! each of some of their writes, or with a lost request or reply.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by panicking")]

mod common;

use std::sync::Arc;

use common::Native;
use sayiir_cloudflare::{SqlStore, SqlStoreOptions};
use sayiir_core::time::Clock;
use sayiir_reference::{Befalls, Bench, Case, Driver, Moment, ShiftedClock, World, case};
use sayiir_store_testkit::Fault;

const SEED: u64 = 2026;
const FAULTS: [Fault; 4] = [Fault::CrashBefore, Fault::CrashAfter, Fault::RequestLost, Fault::ReplyLost];

fn world() -> World {
    let clock = Arc::new(ShiftedClock::default());
    let options = SqlStoreOptions::new(Arc::clone(&clock) as Arc<dyn Clock>);
    World::over(Arc::new(SqlStore::new(Native::new(), options)), clock)
}

async fn check(number: u64, case: &Case, driver: Driver, moment: Option<Moment>, writes: u64) -> u64 {
    let bench = Bench::on(case, case, world()).unwrap();
    let told = moment.map(|moment| moment.to_string()).unwrap_or_default();
    bench.run(driver, moment, writes).await.unwrap_or_else(|wrong| panic!("case {number} of seed {SEED}, {driver:?} {told}: {wrong}"))
}

/// Each case undisturbed, then with each fault at writes that are spread over all of it.
async fn check_cases(numbers: std::ops::Range<u64>, driver: Driver) {
    for number in numbers {
        let case = case(SEED, number);
        let writes = check(number, &case, driver, None, 0).await;
        for (index, fault) in (0_u64..).zip(FAULTS) {
            let nth = 1 + (number * 7 + index * writes / 4) % writes.max(1);
            check(number, &case, driver, Some(Moment { nth, befalls: Befalls::Fault(fault) }), writes).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_comes_to_what_the_reference_says() {
    check_cases(0..60, Driver::Checkpointing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_come_to_what_the_reference_says() {
    check_cases(60..90, Driver::Worker).await;
    check_cases(90..110, Driver::TwoWorkers).await;
}
