//! The reader threads: each has its own connection, and each request its own snapshot, so that reads wait for no write.

use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::Connection;
use sayiir_persistence::StoreError;

use crate::clock::StoreClock;
use crate::connect::OpenFile;
use crate::fault::Fault;
use crate::job::Job;
use crate::queue::{Queue, Taken};
use crate::tx::{Snapshot, execute};
use crate::writer::{BEFORE_TIME, run_guarded};

struct Reader {
    snapshot: Snapshot,
    file: OpenFile,
    queue: Arc<Queue<Snapshot>>,
    clock: Arc<StoreClock>,
}

/// Starts a reader thread.
pub(crate) fn spawn(
    conn: Connection,
    file: OpenFile,
    queue: Arc<Queue<Snapshot>>,
    clock: Arc<StoreClock>,
) -> Result<JoinHandle<()>, StoreError> {
    let reader = Reader { snapshot: Snapshot { conn, now: BEFORE_TIME }, file, queue, clock };
    let thread = std::thread::Builder::new().name("sayiir-sqlite-read".to_owned());
    thread.spawn(move || reader.work()).map_err(|error| StoreError::unavailable(format!("could not start a reader thread: {error}")))
}

impl Reader {
    fn work(mut self) {
        loop {
            match self.queue.take(1, usize::MAX, None, false) {
                Taken::Jobs { jobs, waiting: _ } => {
                    for mut job in jobs {
                        let result = self.look(job.as_mut());
                        job.answer(result);
                    }
                }
                Taken::Rang { .. } => {}
                Taken::Closed => return,
            }
        }
    }

    fn look(&mut self, job: &mut dyn Job<Snapshot>) -> Result<(), StoreError> {
        self.file.check()?;
        execute(&self.snapshot.conn, "BEGIN", []).map_err(Fault::into_store_error)?;
        self.snapshot.now = self.clock.now();
        let result = run_guarded(job, &mut self.snapshot);
        let ended = execute(&self.snapshot.conn, "ROLLBACK", []);
        result.and(ended.map(drop).map_err(Fault::into_store_error))
    }
}
