//! What the workers of a fleet note in files, line by line: it outlives them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use sayiir_core::journal::JournalRow;
use sayiir_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::build::Begun;
use crate::verdict::results;

/// A line of a worker's log.
#[derive(Serialize, Deserialize)]
pub(super) enum Line {
    /// A task began.
    Begun { instance: Arc<str>, name: String, iterations: Vec<u32>, path: Arc<str>, at: i64 },
    /// A write was refused: it was not the writer's branch any more.
    Refused,
    /// The process was let go on after it had been frozen; written by who froze it.
    Thawed,
}

/// A log, opened for one process.
pub(super) struct Log(File);

impl Log {
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        OpenOptions::new().create(true).append(true).open(path).map(Self)
    }

    /// Adds a line, in one write: a death does not take it back.
    pub(super) fn add(&self, line: &Line) {
        let Ok(text) = serde_json::to_string(line) else { return };
        if (&self.0).write_all(format!("{text}\n").as_bytes()).is_err() {
            // A worker that cannot note what it does proves nothing.
            std::process::exit(1);
        }
    }

    /// Notes that a task began.
    pub(super) fn begun(&self, instance: &str, begun: &Begun) {
        let Begun { step: (name, iterations), path, at } = begun;
        let (name, iterations) = (name.clone(), iterations.clone());
        self.add(&Line::Begun { instance: Arc::from(instance), name, iterations, path: Arc::clone(path), at: at.as_micros() });
    }
}

/// What began, by instance: with whether its process may have been a zombie that did not know it yet.
pub(super) type AllBegun = BTreeMap<Arc<str>, Vec<(Begun, bool)>>;

/// Reads all logs of a directory, and how many writes were refused.
pub(super) fn read(directory: &Path) -> anyhow::Result<(AllBegun, u64)> {
    let (mut all, mut refused) = (AllBegun::new(), 0);
    for file in fs::read_dir(directory)? {
        // A process that was frozen may go on with each task that it held when it was; with none of them twice.
        let (mut was_frozen, mut since) = (false, BTreeSet::new());
        // A line that was cut off by a death noted nothing that was done.
        for line in fs::read_to_string(file?.path())?.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            match serde_json::from_str(line)? {
                Line::Refused => refused += 1,
                Line::Thawed => (was_frozen, since) = (true, BTreeSet::new()),
                Line::Begun { instance, name, iterations, path, at } => {
                    let zombie = was_frozen && since.insert((Arc::clone(&instance), Arc::clone(&path)));
                    let begun = Begun { step: (name, iterations), path, at: Timestamp::from_micros(at) };
                    all.entry(instance).or_default().push((begun, zombie));
                }
            }
        }
    }
    Ok((all, refused))
}

/// No task may begin after its result was stored, but for what a zombie still holds to be its own.
///
/// # Errors
///
/// The first that did.
pub(super) fn again(journal: &[JournalRow], begun: &[(Begun, bool)]) -> Result<(), String> {
    let stored: BTreeMap<&str, Timestamp> = results(journal).map(|row: &JournalRow| (&*row.node, row.at)).collect();
    let repeated = begun.iter().find(|(begun, zombie)| !zombie && stored.get(&*begun.path).is_some_and(|at| *at < begun.at));
    repeated.map_or(Ok(()), |(begun, _)| Err(format!("{} ran again though its result was stored", begun.path)))
}

#[cfg(test)]
mod tests {
    use sayiir_core::branch::{BranchId, RunNumber};
    use sayiir_core::journal::EntryKind;

    use super::*;

    #[test]
    fn a_zombie_may_begin_a_task_once_more_and_no_second_time() -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        let log = Log::open(&directory.path().join("1.log"))?;
        let begun = |at| Begun { step: ("t1".to_owned(), vec![]), path: Arc::from("t1"), at: Timestamp::from_micros(at) };
        log.begun("i", &begun(1));
        log.add(&Line::Thawed);
        log.add(&Line::Refused);
        log.begun("i", &begun(5));
        log.begun("i", &begun(6));
        let (all, refused) = read(directory.path())?;
        let marks: Vec<_> = all.values().flatten().map(|(begun, zombie)| (begun.at.as_micros(), *zombie)).collect();
        assert_eq!((marks, refused), (vec![(1, false), (5, true), (6, false)], 1));

        let stored = JournalRow {
            run: RunNumber(1),
            branch: BranchId::root(),
            revision: 2,
            lease: None,
            kind: EntryKind::TaskCompleted,
            node: Arc::from("t1"),
            attempt: 1,
            output: None,
            handed_on: None,
            same_as: None,
            error: None,
            at: Timestamp::from_micros(2),
        };
        let begun = all.into_values().next().unwrap_or_default();
        assert!(again(std::slice::from_ref(&stored), &begun[..2]).is_ok());
        assert!(again(&[stored], &begun).is_err());
        Ok(())
    }
}
