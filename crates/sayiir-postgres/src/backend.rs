//! Opening and closing a store, and the handle that callers clone.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use futures_util::future::BoxFuture;
use sayiir_core::codec::JsonCodec;
use sayiir_persistence::{Limits, NewEvent, StartRun, StoreError, StoreFuture, Wakeups};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Row};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::announce::{self, Announcer};
use crate::apart::Apart;
use crate::commit::{Caps, Committers};
use crate::connect::{check_server, check_settings, listening_pool, parse, pool_options, tuned};
use crate::core::{Core, Mode};
use crate::fault::{Fault, Outcome};
use crate::groups::Groups;
use crate::options::{PoolOptions, PostgresOptions, check_schema_name};
use crate::schema;
use crate::tx::{Memo, Tx};

/// A store in a PostgreSQL database, for any number of processes. Clones share one store.
///
/// `C` says which codec the program's workflows use; the store itself never looks into a payload.
///
/// ```no_run
/// use sayiir_persistence::SnapshotStore;
/// use sayiir_postgres::PostgresBackend;
///
/// async fn open() -> Result<(), Box<dyn std::error::Error>> {
///     let store: PostgresBackend = PostgresBackend::connect("postgres://sayiir@localhost/orders").await?;
///     assert!(store.list_snapshots().await?.is_empty());
///     Ok(())
/// }
/// ```
pub struct PostgresBackend<C = JsonCodec> {
    shared: Arc<Shared>,
    codec: PhantomData<fn() -> C>,
}

/// Dropped with the last clone.
struct Shared {
    core: Arc<Core>,
    committers: Committers,
    starts: Groups<StartRun>,
    mail: Groups<NewEvent>,
    limits: Limits,
    runtime: Handle,
    listening: [AbortHandle; 2],
    /// Where leases are kept, and how it connects.
    apart: OnceLock<Option<Apart>>,
    connect: PgConnectOptions,
}

impl<C> PostgresBackend<C> {
    /// Connects to the database of this URL. The store's tables are made there, if they are not yet.
    ///
    /// It is called within a tokio runtime, where the store's connections then live.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, PostgresOptions::default()).await
    }

    /// Connects to the database that a pool leads to.
    ///
    /// The store opens a pool of its own, with the options of this one: its connections have other settings (for the planner),
    /// which would be in the way of the program's own statements.
    pub async fn connect_with(pool: PgPool) -> Result<Self, StoreError> {
        Self::open_pool(pool, PostgresOptions::default()).await
    }

    /// Connects with a pool of these sizes and times.
    pub async fn connect_with_options(url: &str, pool: PoolOptions) -> Result<Self, StoreError> {
        Self::open_with(url, PostgresOptions::default().with_pool(pool)).await
    }

    /// Connects as these options say.
    pub async fn open_with(url: &str, options: PostgresOptions) -> Result<Self, StoreError> {
        check_schema_name(&options.schema)?;
        let connect = tuned(parse(url)?, &options);
        let pool = pool_options(&options.pool);
        Self::launch(pool, connect, options).await
    }

    /// Connects to the database that a pool leads to (see [`connect_with`](Self::connect_with)), as these options say.
    pub async fn open_pool(pool: PgPool, options: PostgresOptions) -> Result<Self, StoreError> {
        check_schema_name(&options.schema)?;
        let connect = tuned(pool.connect_options().as_ref().clone(), &options);
        Self::launch(pool.options().clone(), connect, options).await
    }

    /// Waits until other processes were told of what this one wrote. A process that ends right after it wrote should do this: else they
    /// find it when they next look by themselves.
    ///
    /// # Errors
    ///
    /// If the database did not answer; what was written is stored all the same.
    pub async fn settle(&self) -> Result<(), StoreError> {
        announce::send_waiting(&self.shared.core).await.map(drop).map_err(|error| Fault::from(error).into_store_error())
    }

    /// The statements that make the store's tables in this schema, for people who run migrations by hand.
    pub fn migrations_sql(schema: &str) -> Result<String, StoreError> {
        check_schema_name(schema)?;
        Ok(schema::as_sql(schema))
    }

    async fn launch(pool: PgPoolOptions, connect: PgConnectOptions, options: PostgresOptions) -> Result<Self, StoreError> {
        let runtime = Handle::try_current();
        let runtime = runtime.map_err(|_| StoreError::misused("a PostgreSQL store is opened within a tokio runtime"))?;
        let listening = listening_pool(connect.clone());
        let pool = pool.connect_lazy_with(connect.clone());
        let origin = prepare(&pool, &options).await.map_err(Fault::into_store_error)?;
        let PostgresOptions { pool: _, schema, migrate: _, limits, committers, batch_transitions, batch_bytes, clock } = options;
        let announcer = Announcer::new(&schema, origin);
        let core = Arc::new(Core { pool, wakeups: Arc::new(Wakeups::new()), memo: Memo::default(), clock, announcer });
        let caps = Caps { transitions: batch_transitions.max(1), bytes: batch_bytes };
        // Whichever worker is free takes the next starts; events of an instance go one way, where they do not wait for each other's locks.
        let starts = Groups::begin(&core, &runtime, (1, committers), caps);
        let mail = Groups::begin(&core, &runtime, (committers, 1), caps);
        let committers = Committers::start(&core, &runtime, committers, caps);
        let listening = [
            runtime.spawn(announce::listen(Arc::clone(&core), listening)).abort_handle(),
            runtime.spawn(announce::pass_on(Arc::clone(&core))).abort_handle(),
        ];
        runtime.spawn(announce::announce(Arc::clone(&core)));
        runtime.spawn(Arc::clone(&core).delete_replaced());
        let shared = Shared { core, committers, starts, mail, limits, runtime, listening, apart: OnceLock::new(), connect };
        Ok(Self { shared: Arc::new(shared), codec: PhantomData })
    }

    pub(crate) fn limits_of(&self) -> &Limits {
        &self.shared.limits
    }

    pub(crate) fn wakeups_of(&self) -> &Wakeups {
        &self.shared.core.wakeups
    }

    pub(crate) fn committers(&self) -> &Committers {
        &self.shared.committers
    }

    pub(crate) fn starts(&self) -> &Groups<StartRun> {
        &self.shared.starts
    }

    pub(crate) fn mail(&self) -> &Groups<NewEvent> {
        &self.shared.mail
    }

    /// Runs an operation on the store's runtime. What was asked is done even if the answer is not waited for.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        mode: Mode,
        operation: impl for<'t> Fn(&'t mut Tx<'_>) -> BoxFuture<'t, Outcome<T>> + Send + Sync + 'static,
    ) -> StoreFuture<'static, T> {
        Self::run_on(&self.shared.runtime, &self.shared.core, mode, operation)
    }

    /// Runs an operation by which leases are kept: it goes on though tasks hold up the store's runtime.
    pub(crate) fn run_apart<T: Send + 'static>(
        &self,
        mode: Mode,
        operation: impl for<'t> Fn(&'t mut Tx<'_>) -> BoxFuture<'t, Outcome<T>> + Send + Sync + 'static,
    ) -> StoreFuture<'static, T> {
        let Shared { core, runtime, apart, connect, .. } = &*self.shared;
        match apart.get_or_init(|| Apart::begin(core, connect.clone())) {
            Some(apart) => Self::run_on(&apart.runtime, &apart.core, mode, operation),
            None => Self::run_on(runtime, core, mode, operation),
        }
    }

    fn run_on<T: Send + 'static>(
        runtime: &Handle,
        core: &Arc<Core>,
        mode: Mode,
        operation: impl for<'t> Fn(&'t mut Tx<'_>) -> BoxFuture<'t, Outcome<T>> + Send + Sync + 'static,
    ) -> StoreFuture<'static, T> {
        let core = Arc::clone(core);
        let asked = runtime.spawn(async move { core.perform(mode, &operation).await });
        Box::pin(async move {
            asked.await.unwrap_or_else(|error| {
                let what =
                    if error.is_panic() { "an operation of the store panicked" } else { "the store's runtime has ended; connect again" };
                Err(StoreError::unavailable(what))
            })
        })
    }
}

/// Checks the server and the schema; gives a name for this process.
async fn prepare(pool: &PgPool, options: &PostgresOptions) -> Outcome<String> {
    let mut conn = pool.acquire().await?;
    check_server(&conn)?;
    check_settings(&mut conn, &options.schema).await?;
    schema::prepare(&mut conn, &options.schema, options.migrate).await?;
    Ok(sqlx::query("SELECT gen_random_uuid()::text AS origin").fetch_one(&mut *conn).await?.try_get("origin")?)
}

impl<C> Clone for PostgresBackend<C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), codec: PhantomData }
    }
}

impl<C> fmt::Debug for PostgresBackend<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBackend").field("limits", &self.shared.limits).finish_non_exhaustive()
    }
}

impl Drop for Shared {
    /// Committers and groups finish what was asked of them, and what others are to know is said; then the last connection goes.
    fn drop(&mut self) {
        for task in &self.listening {
            task.abort();
        }
        self.core.announcer.close();
    }
}
