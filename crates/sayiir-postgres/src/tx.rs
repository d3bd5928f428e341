//! A transaction of one operation: its connection, its time, and what is to be announced when it is committed.

use sayiir_core::branch::RunNumber;
use sayiir_core::time::Timestamp;
pub(crate) use sayiir_persistence::wakeups::News;
use sqlx::PgConnection;
use sqlx::Row;

use crate::fault::{Fault, Outcome};
use crate::ops::lanes::Numbers;
use crate::ops::sessions::Ttls;
use crate::rows::{InstanceRow, db, definition, instance_row, time};

/// The database's time in microseconds, or the one that is handed in as the first parameter.
macro_rules! now {
    () => {
        "coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)"
    };
}
pub(crate) use now;

/// What an operation works with.
pub(crate) struct Tx<'c> {
    pub(crate) conn: &'c mut PgConnection,
    /// The time that was handed in, in the place of the database's.
    pub(crate) given: Option<Timestamp>,
    /// The time of this operation, once a statement has told it.
    pub(crate) now: Timestamp,
    pub(crate) news: News,
    pub(crate) memo: &'c Memo,
}

/// What a process remembers of rows that never change, or that only it writes.
#[derive(Debug, Default)]
pub(crate) struct Memo {
    pub(crate) numbers: Numbers,
    pub(crate) ttls: Ttls,
}

impl<'c> Tx<'c> {
    pub(crate) fn new(conn: &'c mut PgConnection, given: Option<Timestamp>, memo: &'c Memo) -> Self {
        Self { conn, given, now: given.unwrap_or_default(), news: News::default(), memo }
    }

    /// The first parameter of statements with a time.
    pub(crate) fn given(&self) -> Option<i64> {
        self.given.map(Timestamp::as_micros)
    }

    /// Locks the row of an id, if there is one, and tells the time. Whoever changes an instance does this first.
    pub(crate) async fn lock(&mut self, instance_id: &str) -> Outcome<Option<InstanceRow>> {
        let sql = concat!(
            "WITH l AS MATERIALIZED (SELECT * FROM instance WHERE instance_id = $2 FOR NO KEY UPDATE) \
             SELECT c.now, l.*, d.hash, d.name, d.version FROM (SELECT ",
            now!(),
            " AS now) c LEFT JOIN l ON true LEFT JOIN definition d ON d.id = l.definition"
        );
        let row = sqlx::query(sql).bind(self.given()).bind(instance_id).fetch_one(&mut *self.conn).await?;
        self.now = time(&row, "now")?;
        if row.try_get::<Option<i64>, _>("run")?.is_none() {
            return Ok(None);
        }
        let mut instance = instance_row(&row)?;
        if let Some(id) = instance.definition_id
            && row.try_get::<Option<&[u8]>, _>("hash")?.is_none()
        {
            // The row changed while this waited for its lock: its definition is younger than the statement.
            instance.definition = self.definition(id).await?;
        }
        Ok(Some(instance))
    }

    async fn definition(&mut self, id: i64) -> Outcome<sayiir_persistence::Definition> {
        let sql = "SELECT hash, name, version FROM definition WHERE id = $1";
        let row = sqlx::query(sql).bind(id).fetch_optional(&mut *self.conn).await?;
        row.as_ref().map_or_else(|| Err(Fault::corrupt(format!("definition {id} is missing"))), definition)
    }

    /// Reads the row of an id.
    pub(crate) async fn find(&mut self, instance_id: &str) -> Outcome<Option<InstanceRow>> {
        let sql = "SELECT i.*, d.hash, d.name, d.version FROM instance i LEFT JOIN definition d ON d.id = i.definition \
                   WHERE i.instance_id = $1";
        let row = sqlx::query(sql).bind(instance_id).fetch_optional(&mut *self.conn).await?;
        row.as_ref().map(instance_row).transpose()
    }

    /// Reads the row of a run.
    pub(crate) async fn find_run(&mut self, run: RunNumber) -> Outcome<Option<InstanceRow>> {
        let sql = "SELECT i.*, d.hash, d.name, d.version FROM instance i LEFT JOIN definition d ON d.id = i.definition WHERE i.run = $1";
        let row = sqlx::query(sql).bind(db(run.0)).fetch_optional(&mut *self.conn).await?;
        row.as_ref().map(instance_row).transpose()
    }

    /// Asks for the time, where no other statement tells it.
    pub(crate) async fn tell_time(&mut self) -> Outcome<Timestamp> {
        if self.given.is_none() {
            let row = sqlx::query(concat!("SELECT ", now!(), " AS now")).bind(self.given()).fetch_one(&mut *self.conn).await?;
            self.now = time(&row, "now")?;
        }
        Ok(self.now)
    }
}
