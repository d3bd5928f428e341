//! The store interface over [`Sql`]: each operation is one transaction, decided in SQL.
//!
//! Invariant: no transaction depends on what was read before it, unless its guard looks at that again.

mod attributes;
mod claim;
mod clock;
mod commit;
mod control;
mod events;
mod fault;
mod health;
mod import;
mod interface;
mod list;
mod operate;
mod read;
mod refusal;
mod rows;
mod schema;
mod sessions;
mod start;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sayiir_core::future::MaybeSend;
use sayiir_core::time::{Clock, Timestamp};
use sayiir_persistence::{Limits, StoreFuture, Wakeups};

use crate::sql::{Row, Sql, SqlError, Statement};
use clock::StoreClock;
use fault::{Fault, Outcome};

/// How often a change is tried again whose guard found that something had moved since it was read.
const TRIES: usize = 16;

/// What D1 takes: a value or row is at most 2,000,000 bytes; some of it is for the other columns.
const PAYLOAD_BYTES: usize = 1_900_000;

/// A store in any database that a [`Sql`] reaches. Clones share one.
#[derive(Clone)]
pub struct SqlStore {
    shared: Arc<Shared>,
}

struct Shared {
    sql: Arc<dyn Sql>,
    clock: StoreClock,
    wakeups: Wakeups,
    limits: Limits,
    /// Not a lock: whoever waited for another request's answer would wait for ever if that request were cancelled.
    prepared: AtomicBool,
}

/// How a [`SqlStore`] works.
#[derive(Clone)]
pub struct SqlStoreOptions {
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// The sizes that are accepted.
    pub limits: Limits,
    /// The tables were seen before, by another store of this process: they are not looked at first.
    pub prepared: bool,
}

impl SqlStoreOptions {
    /// D1's sizes, on this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let limits = Limits { payload_bytes: PAYLOAD_BYTES, name_bytes: 2 << 10, error_bytes: 32 << 10, ..Limits::default() };
        Self { clock, limits, prepared: false }
    }
}

impl SqlStore {
    /// A store in this database. Its tables are made, or their version is checked, on first use.
    pub fn new(sql: Arc<dyn Sql>, options: SqlStoreOptions) -> Self {
        let SqlStoreOptions { clock, limits, prepared } = options;
        let (clock, wakeups) = (StoreClock::new(clock), Wakeups::new());
        Self { shared: Arc::new(Shared { sql, clock, wakeups, limits, prepared: AtomicBool::new(prepared) }) }
    }

    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    fn wakeups(&self) -> &Wakeups {
        &self.shared.wakeups
    }

    /// Runs the statements as one transaction.
    async fn batch(&self, statements: Vec<Statement>) -> Outcome<Answers> {
        let sql = &self.shared.sql;
        if !self.shared.prepared.load(Ordering::Acquire) {
            schema::prepare(&**sql).await?;
            self.shared.prepared.store(true, Ordering::Release);
        }
        let rows = match sql.batch(statements.clone()).await {
            // Somebody has emptied the database since.
            Err(SqlError::NoTable(_)) => {
                schema::prepare(&**sql).await?;
                sql.batch(statements).await?
            }
            answered => answered?,
        };
        Ok(Answers { rows: rows.into_iter() })
    }

    /// Runs one statement, which reads.
    async fn ask(&self, statement: Statement) -> Outcome<Vec<Row>> {
        self.batch(vec![statement]).await?.next()
    }

    /// An operation as the interface has it.
    fn operation<T: 'static, F>(&self, work: impl FnOnce(Self) -> F) -> StoreFuture<'static, T>
    where
        F: Future<Output = Outcome<T>> + MaybeSend + 'static,
    {
        let work = work(self.clone());
        Box::pin(async move { work.await.map_err(Fault::into_store_error) })
    }
}

impl fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore").field("limits", self.limits()).finish_non_exhaustive()
    }
}

/// The rows of each statement of a transaction, in order.
struct Answers {
    rows: std::vec::IntoIter<Vec<Row>>,
}

impl Answers {
    fn next(&mut self) -> Outcome<Vec<Row>> {
        self.rows.next().ok_or_else(|| Fault::corrupt("the database gave fewer answers than there were statements"))
    }

    fn skip(&mut self, count: usize) {
        self.rows.by_ref().take(count).for_each(drop);
    }

    fn first(&mut self) -> Outcome<Option<Row>> {
        Ok(self.next()?.into_iter().next())
    }
}
