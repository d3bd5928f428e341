//! A thread with a connection of its own, for what must go on while tasks keep the program's threads busy: keeping leases.
//!
//! Invariant: nothing of the program ever runs there. The thread begins with the first lease that is kept, and ends with the store.

use std::sync::{Arc, mpsc};

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::announce::Announcer;
use crate::core::Core;
use crate::tx::Memo;

pub(crate) struct Apart {
    pub(crate) runtime: Handle,
    pub(crate) core: Arc<Core>,
    /// Ends the thread when it is dropped.
    _alive: oneshot::Sender<()>,
}

impl Apart {
    /// `None` if the thread cannot be had: leases are then kept where everything else is done.
    pub(crate) fn begin(core: &Core, connect: PgConnectOptions) -> Option<Self> {
        let (alive, ended) = oneshot::channel::<()>();
        let (tell, told) = mpsc::channel();
        let run = move || match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                // Whoever asked waits for it.
                let _ = tell.send(runtime.handle().clone());
                // It is dropped, not sent.
                let _ = runtime.block_on(ended);
            }
            Err(error) => tracing::warn!(%error, "leases are kept on the program's own threads"),
        };
        drop(std::thread::Builder::new().name("sayiir-leases".to_owned()).spawn(run).ok()?);
        let runtime = told.recv().ok()?;
        let pool = {
            let _inside = runtime.enter();
            pool(core, connect)
        };
        // It announces nothing: a renewal is no news.
        let announcer = Announcer::new("", String::new());
        let core = Core { pool, wakeups: Arc::clone(&core.wakeups), memo: Memo::default(), clock: core.clock.clone(), announcer };
        Some(Self { runtime, core: Arc::new(core), _alive: alive })
    }
}

/// One connection, used as the store's are.
fn pool(core: &Core, connect: PgConnectOptions) -> PgPool {
    let options = core.pool.options();
    PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(options.get_acquire_timeout())
        .max_lifetime(options.get_max_lifetime())
        .idle_timeout(options.get_idle_timeout())
        .connect_lazy_with(connect)
}
