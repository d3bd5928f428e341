//! How a store is opened.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sayiir_core::time::Clock;
use sayiir_persistence::{Limits, StoreError};

/// The sizes and times of the pool of connections. What is `None` is as said.
///
/// ```
/// use sayiir_postgres::PoolOptions;
/// let options = PoolOptions { max_connections: Some(20), ..PoolOptions::default() };
/// assert_eq!(options.acquire_timeout, None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PoolOptions {
    /// The most connections at a time, beside the one that listens for wake-ups. 10 by default.
    pub max_connections: Option<u32>,
    /// So many are kept open while nothing is asked. None by default.
    pub min_connections: Option<u32>,
    /// How long an operation waits for a connection before it is answered that the store is unavailable. 30 s by default.
    pub acquire_timeout: Option<Duration>,
    /// A connection that was not used for so long is closed. 10 minutes by default.
    pub idle_timeout: Option<Duration>,
    /// A connection that is so old is closed. 30 minutes by default.
    pub max_lifetime: Option<Duration>,
    /// The server cancels a statement that takes longer. By default as the server, role or database is configured.
    pub statement_timeout: Option<Duration>,
    /// The server ends a connection that leaves a transaction open for so long. By default as the server is configured.
    pub idle_in_transaction_session_timeout: Option<Duration>,
}

/// All that can be chosen about a store.
///
/// ```
/// use sayiir_postgres::PostgresOptions;
/// let options = PostgresOptions::default().with_schema("workflows").without_migration();
/// assert_eq!((options.schema.as_str(), options.migrate), ("workflows", false));
/// ```
#[derive(Clone)]
pub struct PostgresOptions {
    /// The pool of connections. Not used where the program brings a pool along.
    pub pool: PoolOptions,
    /// The PostgreSQL schema that holds the store's tables: lower-case letters, digits and `_`. `sayiir` by default.
    pub schema: String,
    /// Whether the schema is created and brought up to date when the store is opened. It is, by default.
    pub migrate: bool,
    /// The sizes the store accepts.
    pub limits: Limits,
    /// So many transactions at a time may be committing, each with what came together meanwhile; as many more starting instances, and as
    /// many more storing events. Each uses a connection of the pool, or waits for one. 4 by default.
    pub committers: usize,
    /// How many transitions at most become one statement (of starts and of events, no more than 128). 256 by default.
    pub batch_transitions: usize,
    /// How many payload bytes at most become one statement, of starts and of events, too (a single larger one is taken alone). 4 MiB by
    /// default.
    pub batch_bytes: usize,
    /// A clock in the place of the database's, for tests.
    pub clock: Option<Arc<dyn Clock>>,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            pool: PoolOptions::default(),
            schema: "sayiir".to_owned(),
            migrate: true,
            limits: Limits::default(),
            committers: 4,
            batch_transitions: 256,
            batch_bytes: 4 << 20,
            clock: None,
        }
    }
}

impl PostgresOptions {
    /// Opens connections like this.
    #[must_use]
    pub fn with_pool(mut self, pool: PoolOptions) -> Self {
        self.pool = pool;
        self
    }

    /// Keeps the tables in this PostgreSQL schema.
    #[must_use]
    pub fn with_schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// Leaves the schema as it is: somebody else creates and migrates it (see `PostgresBackend::migrations_sql`).
    #[must_use]
    pub const fn without_migration(mut self) -> Self {
        self.migrate = false;
        self
    }

    /// Accepts these sizes.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Takes the time from this clock instead of the database, for tests.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Lets so many transactions commit at a time, as many start instances, and as many store events.
    #[must_use]
    pub const fn with_committers(mut self, committers: usize) -> Self {
        self.committers = committers;
        self
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pool, schema, migrate, limits, committers, batch_transitions, batch_bytes, clock } = self;
        f.debug_struct("PostgresOptions")
            .field("pool", pool)
            .field("schema", schema)
            .field("migrate", migrate)
            .field("limits", limits)
            .field("committers", committers)
            .field("batch_transitions", batch_transitions)
            .field("batch_bytes", batch_bytes)
            .field("clock", &clock.as_ref().map(|_| "handed in"))
            .finish()
    }
}

/// A schema's name goes into statements and settings as it is, so it is a plain word.
pub(crate) fn check_schema_name(schema: &str) -> Result<(), StoreError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let begins_well = schema.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if begins_well && schema.len() <= 48 && schema.chars().all(plain) && !schema.starts_with("pg_") {
        return Ok(());
    }
    Err(StoreError::misused(format!(
        "{schema:?} cannot be the schema of a store: use lower-case letters, digits and `_`, at most 48, beginning with a letter and not with `pg_`"
    )))
}
