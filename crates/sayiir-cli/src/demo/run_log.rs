//! The side file of the demo: every task appends a line when it really runs, whatever becomes of its result.
//!
//! It is what the journal is checked against. A line is one short write to a file opened for appending, so lines of several
//! tasks, threads and processes do not mix, and a line is whole or not there.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// One run of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskRun {
    /// When it began, in microseconds since the Unix epoch.
    pub(crate) at: i64,
    /// The process it ran in.
    pub(crate) pid: u32,
    /// The instance.
    pub(crate) instance: String,
    /// The instance's run number.
    pub(crate) run: u64,
    /// The node path, with iterations.
    pub(crate) node: String,
    /// The attempt, counted from 1.
    pub(crate) attempt: u32,
}

/// The side file, open for appending.
#[derive(Debug)]
pub(crate) struct RunLog {
    file: File,
}

impl RunLog {
    /// Opens the file at `path`, and makes it if it is missing.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: OpenOptions::new().append(true).create(true).open(path)? })
    }

    /// Notes that a task begins to run now.
    pub(crate) fn note(&self, instance: &str, run: u64, node: &str, attempt: u32) -> io::Result<()> {
        let started = TaskRun { at: now(), pid: std::process::id(), instance: instance.into(), run, node: node.into(), attempt };
        let mut line = serde_json::to_vec(&started)?;
        line.push(b'\n');
        (&self.file).write_all(&line)
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Reads the file at `path`; one that is missing has no lines.
pub(crate) fn read(path: &Path) -> io::Result<Vec<TaskRun>> {
    match std::fs::read(path) {
        Ok(bytes) => parse(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn parse(bytes: &[u8]) -> io::Result<Vec<TaskRun>> {
    let lines = (1..).zip(bytes.split(|byte| *byte == b'\n')).filter(|(_, line)| !line.is_empty());
    let damaged = |number: usize, error| io::Error::new(io::ErrorKind::InvalidData, format!("line {number}: {error}"));
    lines.map(|(number, line)| serde_json::from_slice(line).map_err(|error: serde_json::Error| damaged(number, error))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_by_several_writers_is_read_back_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("demo.db.runs");
        assert_eq!(read(&path).unwrap(), []);
        std::thread::scope(|scope| {
            for writer in 0..4_u64 {
                let path = &path;
                scope.spawn(move || {
                    let log = RunLog::open(path).unwrap();
                    (0..100).for_each(|attempt| log.note("webhook-1-1", writer, "pages[3]", attempt).unwrap());
                });
            }
        });
        let runs = read(&path).unwrap();
        assert_eq!(runs.len(), 400);
        for writer in 0..4 {
            let attempts: Vec<u32> = runs.iter().filter(|run| run.run == writer).map(|run| run.attempt).collect();
            assert_eq!(attempts, (0..100).collect::<Vec<u32>>());
        }
        assert!(runs.iter().all(|run| run.at > 0 && run.node == "pages[3]"));
    }

    #[test]
    fn a_damaged_line_is_named() {
        let error = parse(b"\n{\"at\": 1}\n").unwrap_err();
        assert!(error.to_string().starts_with("line 2: missing field"), "{error}");
    }
}
