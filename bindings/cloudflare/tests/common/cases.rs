//! Random workflows over a database: they come to what the reference says, also with a crash before or after one of their writes, or
//! with a lost request or reply.

use std::ops::Range;
use std::sync::Arc;

use sayiir_cloudflare::{Sql, SqlStore, SqlStoreOptions};
use sayiir_core::time::Clock;
use sayiir_reference::{Befalls, Bench, Case, Driver, Moment, ShiftedClock, World, case};
use sayiir_store_testkit::Fault;

const SEED: u64 = 2026;
const FAULTS: [Fault; 4] = [Fault::CrashBefore, Fault::CrashAfter, Fault::RequestLost, Fault::ReplyLost];

/// Makes an empty database.
pub(crate) type Fresh = fn() -> Arc<dyn Sql>;

fn world(fresh: Fresh) -> World {
    let clock = Arc::new(ShiftedClock::default());
    let options = SqlStoreOptions::new(Arc::clone(&clock) as Arc<dyn Clock>);
    World::over(Arc::new(SqlStore::new(fresh(), options)), clock)
}

async fn check(fresh: Fresh, number: u64, case: &Case, driver: Driver, moment: Option<Moment>, writes: u64) -> u64 {
    let bench = Bench::on(case, case, world(fresh)).unwrap();
    let told = moment.map(|moment| moment.to_string()).unwrap_or_default();
    bench.run(driver, moment, writes).await.unwrap_or_else(|wrong| panic!("case {number} of seed {SEED}, {driver:?} {told}: {wrong}"))
}

/// Each case undisturbed, then with each fault at writes that are spread over all of it.
pub(crate) async fn check_cases(fresh: Fresh, numbers: Range<u64>, driver: Driver) {
    for number in numbers {
        let case = case(SEED, number);
        let writes = check(fresh, number, &case, driver, None, 0).await;
        for (index, fault) in (0_u64..).zip(FAULTS) {
            let nth = 1 + (number * 7 + index * writes / 4) % writes.max(1);
            check(fresh, number, &case, driver, Some(Moment { nth, befalls: Befalls::Fault(fault) }), writes).await;
        }
    }
}
