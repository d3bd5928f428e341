//! What the workers of a fleet note in files, line by line: it outlives them.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

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
    /// The store handed out a branch that stood at this node; it was asked then.
    Handed { instance: Arc<str>, path: Arc<str>, asked: i64 },
    /// A write with what this node came to was acknowledged.
    Stored { instance: Arc<str>, path: Arc<str>, told: i64 },
    /// A write was refused: it was not the writer's branch any more.
    Refused,
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

/// What all workers noted.
#[derive(Default)]
pub(super) struct Noted {
    /// What began, by instance.
    pub(super) begun: BTreeMap<Arc<str>, Vec<Begun>>,
    /// At which nodes branches were handed out, by instance, and when that was asked for.
    pub(super) handed: BTreeMap<Arc<str>, Vec<(Arc<str>, Timestamp)>>,
    /// When what a node came to was acknowledged first, by instance.
    pub(super) stored: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Timestamp>>,
    /// How many writes were refused.
    pub(super) refused: u64,
}

/// Reads all logs of a directory.
pub(super) fn read(directory: &Path) -> anyhow::Result<Noted> {
    let mut noted = Noted::default();
    for file in fs::read_dir(directory)? {
        // A line that was cut off by a death noted nothing that was done.
        for line in fs::read_to_string(file?.path())?.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            match serde_json::from_str(line)? {
                Line::Refused => noted.refused += 1,
                Line::Handed { instance, path, asked } => {
                    noted.handed.entry(instance).or_default().push((path, Timestamp::from_micros(asked)));
                }
                Line::Stored { instance, path, told } => {
                    let told = Timestamp::from_micros(told);
                    let first = noted.stored.entry(instance).or_default().entry(path).or_insert(told);
                    *first = told.min(*first);
                }
                Line::Begun { instance, name, iterations, path, at } => {
                    let begun = Begun { step: (name, iterations), path, at: Timestamp::from_micros(at) };
                    noted.begun.entry(instance).or_default().push(begun);
                }
            }
        }
    }
    Ok(noted)
}

/// Longer than it takes until others see a write: its time is that of its begin, and whoever made it may have died before it was told.
const SEEN_WITHIN: Duration = Duration::from_secs(2);

/// No branch may be handed out at a node whose result was acknowledged, or can be seen, when it was asked for. (A task may *begin* after
/// its result was stored: on a worker that was handed it before, stood still, and does not know yet that another has done it.)
///
/// # Errors
///
/// The first that was.
pub(super) fn again(journal: &[JournalRow], noted: &Noted, instance: &str) -> Result<(), String> {
    let (told, handed) = (noted.stored.get(instance), noted.handed.get(instance).map_or(&[][..], Vec::as_slice));
    let seen = |row: &JournalRow| told.and_then(|told| told.get(&row.node)).copied().unwrap_or(row.at + SEEN_WITHIN);
    let stored: BTreeMap<&str, Timestamp> = results(journal).map(|row: &JournalRow| (&*row.node, seen(row))).collect();
    let repeated = handed.iter().find(|(path, asked)| stored.get(&**path).is_some_and(|at| at < asked));
    repeated.map_or(Ok(()), |(path, _)| Err(format!("{path} was handed out again though its result was stored")))
}

#[cfg(test)]
mod tests {
    use sayiir_core::branch::{BranchId, RunNumber};
    use sayiir_core::journal::EntryKind;

    use super::*;

    #[test]
    fn a_node_that_was_handed_out_after_its_result_was_stored_is_found() -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        let log = Log::open(&directory.path().join("1.log"))?;
        log.begun("i", &Begun { step: ("t1".to_owned(), vec![]), path: Arc::from("t1"), at: Timestamp::from_micros(5) });
        log.add(&Line::Refused);
        let handed = |asked| Line::Handed { instance: Arc::from("i"), path: Arc::from("t1"), asked };
        log.add(&handed(1));
        log.add(&handed(3));
        let mut noted = read(directory.path())?;
        assert_eq!((noted.begun.values().flatten().count(), noted.refused), (1, 1));

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
        let journal = [stored];
        assert!(again(&journal, &noted, "i").is_ok(), "nobody was told, and it may not have been seen yet");
        for (told, is_ok) in [(4, true), (2, false)] {
            log.add(&Line::Stored { instance: Arc::from("i"), path: Arc::from("t1"), told });
            noted = read(directory.path())?;
            assert_eq!(again(&journal, &noted, "i").is_ok(), is_ok, "told at {told}, handed out when asked at 3");
        }
        log.add(&handed(2 + i64::try_from(SEEN_WITHIN.as_micros())? + 1));
        noted = read(directory.path())?;
        noted.stored.clear();
        assert!(again(&journal, &noted, "i").is_err(), "long after it was stored");
        Ok(())
    }
}
