//! What the parts of a store share: the pool, the time, the announcements; and how an operation is run to its end.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use sayiir_core::time::{Clock, Timestamp};
use sayiir_persistence::{StoreError, Wakeups};
use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgPool, Postgres};

use crate::announce::Announcer;
use crate::fault::{Fault, Outcome, Remedy};
use crate::ops::purge;
use crate::tx::{Memo, News, Tx};

/// How often an operation is run again where other transactions were in its way.
const TRIES: u32 = 20;

/// How an operation uses its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Statements that each stand for themselves.
    Single,
    /// One transaction that writes.
    Write,
    /// One transaction that sees one moment.
    Snapshot,
}

/// An operation that can be run again.
pub(crate) type Operation<T> = dyn for<'t> Fn(&'t mut Tx<'_>) -> BoxFuture<'t, Outcome<T>> + Send + Sync;

pub(crate) struct Core {
    pub(crate) pool: PgPool,
    pub(crate) wakeups: Arc<Wakeups>,
    pub(crate) memo: Memo,
    pub(crate) clock: Option<Arc<dyn Clock>>,
    pub(crate) announcer: Announcer,
}

impl Core {
    /// The time that is handed in, in the place of the database's.
    pub(crate) fn given(&self) -> Option<Timestamp> {
        self.clock.as_ref().map(|clock| clock.now())
    }

    /// Tells those who wait in this process at once, and those in others soon.
    pub(crate) fn announce(&self, news: News) {
        news.announce(&self.wakeups);
        self.announcer.later(news);
    }

    /// Runs an operation to its end, again if others were in its way, and announces what it changed.
    pub(crate) async fn perform<T: Send>(self: Arc<Self>, mode: Mode, operation: &Operation<T>) -> Result<T, StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.once(mode, operation).await {
                Err(fault) if fault.remedy() == Remedy::Again && tries < TRIES => {}
                done => return done.map_err(Fault::into_store_error),
            }
        }
    }

    /// Runs an operation, and announces what it changed.
    pub(crate) async fn once<T: Send>(self: &Arc<Self>, mode: Mode, operation: &Operation<T>) -> Outcome<T> {
        let mut conn = self.pool.acquire().await?;
        let (answer, news) = self.attempt(&mut conn, mode, operation).await?;
        self.finish(conn, news).await;
        Ok(answer)
    }

    async fn attempt<T: Send>(&self, conn: &mut PoolConnection<Postgres>, mode: Mode, operation: &Operation<T>) -> Outcome<(T, News)> {
        let begin = match mode {
            Mode::Single => {
                let mut tx = Tx::new(conn, self.given(), &self.memo);
                let answer = operation(&mut tx).await?;
                return Ok((answer, tx.news));
            }
            Mode::Write => "BEGIN",
            Mode::Snapshot => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        };
        let mut transaction = conn.begin_with(begin).await?;
        let mut tx = Tx::new(&mut transaction, self.given(), &self.memo);
        let done = operation(&mut tx).await;
        let news = std::mem::take(&mut tx.news);
        match done {
            Ok(answer) => {
                transaction.commit().await?;
                Ok((answer, news))
            }
            Err(fault) => {
                // If it cannot be rolled back, the connection is lost, and the server does it.
                let _ = transaction.rollback().await;
                Err(fault)
            }
        }
    }

    /// Announces, over the connection that is still at hand if nothing was announced for a moment: a program that asks for
    /// one thing and ends has then told the others.
    pub(crate) async fn finish(self: &Arc<Self>, mut conn: PoolConnection<Postgres>, news: News) {
        if news.purge {
            tokio::spawn(Arc::clone(self).delete_replaced());
        }
        news.announce(&self.wakeups);
        if let Some(news) = self.announcer.at_once(news)
            && let Err(error) = self.announcer.send(&mut conn, &news).await
        {
            tracing::debug!(%error, "an announcement is sent again");
            self.announcer.later(news);
        }
    }

    /// Deletes the journals of replaced runs, a piece at a time.
    pub(crate) fn delete_replaced(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            loop {
                match Arc::clone(&self).perform(Mode::Write, &|tx: &mut Tx<'_>| Box::pin(purge::some(tx))).await {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(error) => {
                        // The next one that replaces a run, or opens the store, goes on.
                        tracing::debug!(%error, "the journal of a replaced run is left for later");
                        return;
                    }
                }
            }
        })
    }
}
