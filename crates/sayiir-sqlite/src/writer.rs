//! The writer thread: drains its queue into one transaction, commits, answers, announces.
//!
//! Invariant: a request is answered `Ok` only after its transaction is on the disk, in the file at the store's path.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sayiir_core::time::Timestamp;
use sayiir_persistence::{StoreError, Wakeups};

use crate::clock::StoreClock;
use crate::connect::OpenFile;
use crate::fault::{Fault, Outcome};
use crate::figures;
use crate::job::{Job, Request};
use crate::ops::purge;
use crate::queue::{Queue, Taken};
use crate::schema;
use crate::tx::{Memo, News, Tx, execute, first};
use crate::watch::Watchfulness;

type Member = Box<dyn Job<Tx>>;

/// Why a transaction did not happen.
enum Failure {
    /// It meets every request now.
    Everybody(StoreError),
    /// One member did it, or the commit of all together.
    Together(StoreError),
}

/// What the writer thread owns.
pub(crate) struct Writer {
    pub(crate) tx: Tx,
    pub(crate) file: Option<OpenFile>,
    pub(crate) queue: Arc<Queue<Tx>>,
    pub(crate) wakeups: Arc<Wakeups>,
    pub(crate) clock: Arc<StoreClock>,
    pub(crate) watch: Watchfulness,
    pub(crate) batch_jobs: usize,
    pub(crate) batch_bytes: usize,
    /// `PRAGMA data_version` as last seen: it changes when another connection wrote.
    pub(crate) data_version: i64,
}

impl Writer {
    /// Works until the queue is closed and empty.
    pub(crate) fn work(mut self) {
        if matches!(first(&self.tx.conn, "SELECT 1 FROM purge LIMIT 1", [], |_| Ok(())), Ok(Some(()))) {
            self.push_purge();
        }
        loop {
            match self.queue.take(self.batch_jobs, self.batch_bytes, self.watch.next_look(), true) {
                Taken::Jobs { jobs, waiting } => {
                    figures::batch(jobs.len(), waiting);
                    self.settle(jobs);
                }
                Taken::Rang { by_somebody } => {
                    self.watch.looks(by_somebody);
                    self.look_around();
                }
                Taken::Closed => return,
            }
        }
    }

    /// Runs a batch as one transaction; if it fails for one member's sake, runs the members one by one.
    fn settle(&mut self, mut jobs: Vec<Member>) {
        match self.transact(&mut jobs) {
            Ok(news) => {
                answer_all(jobs, || Ok(()));
                self.tell(&news);
            }
            Err(Failure::Everybody(error)) => answer_all(jobs, || Err(error.again())),
            Err(Failure::Together(error)) if jobs.len() == 1 => {
                let mut error = Some(error);
                answer_all(jobs, || error.take().map_or(Ok(()), Err));
            }
            Err(Failure::Together(_)) => self.settle_singly(jobs),
        }
    }

    fn settle_singly(&mut self, jobs: Vec<Member>) {
        let mut barred: Option<StoreError> = None;
        for job in jobs {
            let mut alone = vec![job];
            let result = match &barred {
                Some(error) => Err(Failure::Everybody(error.again())),
                None => self.transact(&mut alone),
            };
            match result {
                Ok(news) => {
                    answer_all(alone, || Ok(()));
                    self.tell(&news);
                }
                Err(Failure::Everybody(error)) => {
                    answer_all(alone, || Err(error.again()));
                    barred = Some(error);
                }
                Err(Failure::Together(error)) => {
                    let mut error = Some(error);
                    answer_all(alone, || error.take().map_or(Ok(()), Err));
                }
            }
        }
    }

    fn transact(&mut self, jobs: &mut [Member]) -> Result<News, Failure> {
        self.check_file().map_err(Failure::Everybody)?;
        self.begin().map_err(|fault| Failure::Everybody(fault.into_store_error()))?;
        for job in jobs.iter_mut() {
            self.tx.now = self.clock.now();
            if let Err(error) = run_guarded(job.as_mut(), &mut self.tx) {
                self.roll_back();
                return Err(Failure::Together(error));
            }
        }
        if let Err(fault) = self.commit() {
            self.roll_back();
            return Err(Failure::Together(fault.into_store_error()));
        }
        self.check_file().map_err(Failure::Everybody)?;
        Ok(std::mem::take(&mut self.tx.news))
    }

    fn begin(&mut self) -> Outcome<()> {
        execute(&self.tx.conn, "BEGIN IMMEDIATE", [])?;
        figures::count();
        let looked = self.look_for_others();
        if looked.is_err() {
            self.roll_back();
        }
        looked
    }

    fn commit(&self) -> Outcome<()> {
        execute(&self.tx.conn, "COMMIT", [])?;
        Ok(())
    }

    fn roll_back(&mut self) {
        self.tx.memo = Memo::default();
        self.tx.news = News::default();
        if !self.tx.conn.is_autocommit()
            && let Err(error) = self.tx.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "could not roll back");
        }
    }

    fn check_file(&self) -> Result<(), StoreError> {
        self.file.as_ref().map_or(Ok(()), OpenFile::check)
    }

    /// If another connection wrote: nobody knows what, so everybody looks again.
    fn look_for_others(&mut self) -> Outcome<()> {
        let version = data_version(&self.tx)?;
        if version != self.data_version {
            schema::check_version(&self.tx.conn)?;
            self.data_version = version;
            self.wakeups.announce_everything();
        }
        Ok(())
    }

    fn look_around(&mut self) {
        if let Err(error) = self.check_file() {
            tracing::error!(%error, "the store's file is gone");
            self.watch.rest();
            self.wakeups.announce_everything();
        } else if let Err(fault) = self.look_for_others() {
            // Whoever asks next is told.
            tracing::debug!(error = %fault.into_store_error(), "could not look for writes of other processes");
        }
    }

    fn tell(&mut self, news: &News) {
        news.announce(&self.wakeups);
        if news.purge {
            self.push_purge();
        }
    }

    /// Lets the journals of replaced runs be deleted, a piece at a time, between other requests.
    fn push_purge(&self) {
        let (request, _nobody_waits) = Request::new(0, purge::some);
        self.queue.push(Box::new(request));
    }
}

/// The number that changes when another connection wrote.
pub(crate) fn data_version(tx: &Tx) -> Outcome<i64> {
    // Not counted: how often an idle writer looks, the file system decides.
    Ok(tx.conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?)
}

pub(crate) const BEFORE_TIME: Timestamp = Timestamp::from_micros(0);

/// Runs a job; a panic becomes an error of this job alone.
pub(crate) fn run_guarded<Scope>(job: &mut dyn Job<Scope>, scope: &mut Scope) -> Result<(), StoreError> {
    match catch_unwind(AssertUnwindSafe(|| job.run(scope))) {
        Ok(done) => done.map_err(Fault::into_store_error),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            let reason = format!("the request made the store panic ({}); nothing was written; please report it", text.unwrap_or("no text"));
            tracing::error!(reason, "a store request panicked");
            Err(StoreError::misused(reason))
        }
    }
}

fn answer_all(jobs: Vec<Member>, mut result: impl FnMut() -> Result<(), StoreError>) {
    for job in jobs {
        job.answer(result());
    }
}

/// Kept beside the thread's entry: whatever ends the thread, nobody waits for it in vain.
pub(crate) struct AbandonOnExit(pub(crate) Arc<Queue<Tx>>);

impl Drop for AbandonOnExit {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
