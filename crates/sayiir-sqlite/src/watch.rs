//! Noticing writes of other processes: the file system tells that the log was written, and `PRAGMA data_version`
//! whether it was somebody else.
//!
//! The file is written a moment before the write becomes visible, so after each ring the writer looks
//! several times, ever later. Nothing is looked at while the file rests.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use notify::event::EventKind;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use crate::queue::Queue;
use crate::tx::Tx;

/// After a ring the writer looks at once and then so many times more, after 1 ms, 2 ms, 4 ms and so on.
const LOOKS: u32 = 10;

/// How long the watching thread rests after it has rung.
const BREATH: Duration = Duration::from_millis(1);

/// How often the writer looks where the file cannot be watched.
const WITHOUT_WATCHER: Duration = Duration::from_millis(100);

/// When the writer looks next.
#[derive(Debug)]
pub(crate) struct Watchfulness {
    always: bool,
    step: u32,
    next: Option<Instant>,
}

impl Watchfulness {
    /// Looks when it is rung.
    pub(crate) const fn on_ring() -> Self {
        Self { always: false, step: 0, next: None }
    }

    /// Looks all the time, because nothing rings.
    pub(crate) fn always() -> Self {
        Self { always: true, step: 0, next: Some(Instant::now()) }
    }

    pub(crate) const fn next_look(&self) -> Option<Instant> {
        self.next
    }

    /// Says that the writer looks now.
    pub(crate) fn looks(&mut self, rung: bool) {
        if self.always {
            self.next = Some(Instant::now() + WITHOUT_WATCHER);
            return;
        }
        if rung {
            self.step = 0;
        }
        self.next = (self.step < LOOKS).then(|| Instant::now() + Duration::from_millis(1 << self.step));
        self.step += 1;
    }

    /// Looks no more until it is rung.
    pub(crate) const fn rest(&mut self) {
        if !self.always {
            self.next = None;
        }
    }
}

/// Rings the queue when the database or its log is written. Ends when it is dropped.
pub(crate) fn watch(file: &Path, queue: &Arc<Queue<Tx>>) -> notify::Result<RecommendedWatcher> {
    let (Some(directory), Some(name)) = (file.parent(), file.file_name()) else {
        return Err(notify::Error::path_not_found().add_path(file.to_owned()));
    };
    let mut log = name.to_owned();
    log.push("-wal");
    let names: [OsString; 2] = [name.to_owned(), log];
    let queue = Arc::clone(queue);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let matters = match event {
            Ok(event) => is_write(event.kind) && event.paths.iter().any(|path| names.iter().any(|name| path.file_name() == Some(name))),
            // Events were lost: look.
            Err(_) => true,
        };
        if matters {
            queue.ring();
            // What is written meanwhile, by this very process too, becomes one event.
            std::thread::sleep(BREATH);
        }
    })?;
    watcher.watch(directory, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

fn is_write(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(_) => false,
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}
