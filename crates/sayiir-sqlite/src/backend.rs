//! Opening and closing: the threads of a store, and the handle that callers clone.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use futures_channel::oneshot;
use notify::RecommendedWatcher;
use sayiir_persistence::{Limits, StoreError, StoreFuture, Wakeups};

use crate::clock::StoreClock;
use crate::connect::{OpenFile, open_file, open_memory, open_reader};
use crate::fault::{Fault, Outcome};
use crate::job::Request;
use crate::options::SqliteOptions;
use crate::queue::Queue;
use crate::readers;
use crate::tx::{Look, Memo, News, Snapshot, Tx};
use crate::watch::{Watchfulness, watch};
use crate::writer::{AbandonOnExit, BEFORE_TIME, Writer, data_version};

/// A store in an SQLite file (or, for tests, in memory). Clones share one store.
///
/// ```
/// use sayiir_persistence::SnapshotStore;
/// use sayiir_sqlite::SqliteBackend;
///
/// async fn open() -> Result<(), Box<dyn std::error::Error>> {
///     let store = SqliteBackend::open("work.db").await?;
///     assert!(store.list_snapshots().await?.is_empty());
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct SqliteBackend {
    shared: Arc<Shared>,
}

/// Dropped with the last clone; then the threads end.
struct Shared {
    lines: Lines,
    limits: Limits,
    /// Rings the writer when the file is written.
    watcher: Option<RecommendedWatcher>,
    readers: Vec<JoinHandle<()>>,
    writer: Option<JoinHandle<()>>,
}

/// What callers and threads share.
#[derive(Clone)]
struct Lines {
    writes: Arc<Queue<Tx>>,
    /// `None` where the writer's connection is the only one.
    reads: Option<Arc<Queue<Snapshot>>>,
    wakeups: Arc<Wakeups>,
    clock: Arc<StoreClock>,
}

/// What the writer thread opened.
struct Opened {
    watcher: Option<RecommendedWatcher>,
    readers: Vec<JoinHandle<()>>,
}

impl SqliteBackend {
    /// Opens the store in this file, or makes it.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with(path, SqliteOptions::default()).await
    }

    /// Opens the store in this file, or makes it.
    pub async fn open_with(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, StoreError> {
        let path = path.as_ref();
        if path.as_os_str().is_empty() || path == Path::new(":memory:") {
            let reason = "give the path of a file; a store in memory is made by SqliteBackend::in_memory()".to_owned();
            return Err(StoreError::misused(reason));
        }
        Self::launch(Some(path.to_owned()), options).await
    }

    /// A store that ends with its last clone.
    pub async fn in_memory() -> Result<Self, StoreError> {
        Self::in_memory_with(SqliteOptions::default()).await
    }

    /// A store that ends with its last clone.
    pub async fn in_memory_with(options: SqliteOptions) -> Result<Self, StoreError> {
        Self::launch(None, options).await
    }

    async fn launch(path: Option<PathBuf>, options: SqliteOptions) -> Result<Self, StoreError> {
        let lines = Lines {
            writes: Arc::new(Queue::new()),
            reads: path.is_some().then(|| Arc::new(Queue::new())),
            wakeups: Arc::new(Wakeups::new()),
            clock: Arc::new(StoreClock::new(Arc::clone(&options.clock))),
        };
        let limits = options.limits;
        let (report, opened) = oneshot::channel();
        let of_writer = lines.clone();
        let named = thread::Builder::new().name("sayiir-sqlite-write".to_owned());
        let writer = named.spawn(move || write_thread(path.as_deref(), &options, of_writer, report));
        let writer = writer.map_err(|error| StoreError::unavailable(format!("could not start the writer thread: {error}")))?;
        let Opened { watcher, readers } =
            opened.await.map_err(|_| StoreError::unavailable("the writer thread ended while it opened the file"))??;
        Ok(Self { shared: Arc::new(Shared { lines, limits, watcher, readers, writer: Some(writer) }) })
    }

    pub(crate) fn limits_of(&self) -> &Limits {
        &self.shared.limits
    }

    pub(crate) fn wakeups_of(&self) -> &Wakeups {
        &self.shared.lines.wakeups
    }

    /// Asks the writer. What was asked is done even if the answer is not waited for.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        cost: usize,
        work: impl FnMut(&mut Tx) -> Outcome<T> + Send + 'static,
    ) -> StoreFuture<'static, T> {
        let (request, answer) = Request::new(cost, work);
        self.shared.lines.writes.push(Box::new(request));
        Box::pin(received(answer))
    }

    /// Asks a reader.
    pub(crate) fn read<T: Send + 'static>(&self, mut work: impl FnMut(Look<'_>) -> Outcome<T> + Send + 'static) -> StoreFuture<'static, T> {
        match &self.shared.lines.reads {
            None => self.write(0, move |tx| work(tx.look())),
            Some(reads) => {
                let (request, answer) = Request::new(0, move |snapshot: &mut Snapshot| work(snapshot.look()));
                reads.push(Box::new(request));
                Box::pin(received(answer))
            }
        }
    }
}

async fn received<T>(answer: oneshot::Receiver<Result<T, StoreError>>) -> Result<T, StoreError> {
    answer.await.unwrap_or_else(|_| Err(StoreError::unavailable("the store's thread has ended; open the store again")))
}

impl fmt::Debug for SqliteBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteBackend").field("limits", &self.shared.limits).finish_non_exhaustive()
    }
}

impl Drop for Shared {
    /// Lets the threads finish what was asked, and waits for them, so that the file is closed then. The writer
    /// is the last: the last connection that closes a file takes its log into it.
    fn drop(&mut self) {
        self.watcher = None;
        if let Some(reads) = &self.lines.reads {
            reads.close();
        }
        self.readers.drain(..).for_each(join);
        self.lines.writes.close();
        if let Some(writer) = self.writer.take() {
            join(writer);
        }
    }
}

fn join(thread: JoinHandle<()>) {
    // A waker may drop the last clone on one of these threads; it cannot wait for itself.
    if thread.thread().id() != thread::current().id() && thread.join().is_err() {
        tracing::error!("a thread of the store panicked");
    }
}

fn write_thread(path: Option<&Path>, options: &SqliteOptions, lines: Lines, report: oneshot::Sender<Result<Opened, StoreError>>) {
    let _abandon = AbandonOnExit(Arc::clone(&lines.writes));
    match prepare(path, options, lines) {
        Err(fault) => {
            // If nobody waits any more, nobody needs to know.
            let _ = report.send(Err(fault.into_store_error()));
        }
        Ok((writer, opened)) => {
            if report.send(Ok(opened)).is_ok() {
                writer.work();
            }
        }
    }
}

/// Opens the connections, starts the readers and the watcher.
fn prepare(path: Option<&Path>, options: &SqliteOptions, lines: Lines) -> Outcome<(Writer, Opened)> {
    let (conn, file) = match path {
        Some(path) => open_file(path, options).map(|(conn, file)| (conn, Some(file)))?,
        None => (open_memory(options)?, None),
    };
    let readers = file.as_ref().map_or_else(|| Ok(Vec::new()), |file| start_readers(file, options, &lines))?;
    let (watcher, watchfulness) = file.as_ref().map_or((None, Watchfulness::on_ring()), |file| start_watching(file, &lines));
    let tx = Tx { conn, now: BEFORE_TIME, memo: Memo::default(), news: News::default() };
    let data_version = data_version(&tx)?;
    let Lines { writes: queue, reads: _, wakeups, clock } = lines;
    let (batch_jobs, batch_bytes) = (options.batch_jobs, options.batch_bytes);
    let writer = Writer { tx, file, queue, wakeups, clock, watch: watchfulness, batch_jobs, batch_bytes, data_version };
    Ok((writer, Opened { watcher, readers }))
}

fn start_readers(file: &OpenFile, options: &SqliteOptions, lines: &Lines) -> Outcome<Vec<JoinHandle<()>>> {
    let Some(reads) = &lines.reads else { return Ok(Vec::new()) };
    let start = |_| {
        let conn = open_reader(file, options)?;
        readers::spawn(conn, file.clone(), Arc::clone(reads), Arc::clone(&lines.clock)).map_err(Fault::Store)
    };
    let started: Outcome<Vec<_>> = (0..options.readers.max(1)).map(start).collect();
    if started.is_err() {
        reads.close();
    }
    started
}

fn start_watching(file: &OpenFile, lines: &Lines) -> (Option<RecommendedWatcher>, Watchfulness) {
    match watch(file.path(), &lines.writes) {
        Ok(watcher) => (Some(watcher), Watchfulness::on_ring()),
        Err(error) => {
            tracing::warn!(%error, "the store's file cannot be watched; looking for other processes' writes ten times a second");
            (None, Watchfulness::always())
        }
    }
}
