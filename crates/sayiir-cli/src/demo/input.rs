//! The input of the demo: webhooks, one JSON object a line. A bad line is set aside with its number; the rest goes on.

use std::path::Path;
use std::sync::Arc;

use super::webhook::{self, Malformed};

/// The built-in webhooks, so that the demo finds them from any working directory.
const BUILT_IN: &[u8] = include_bytes!("../../data/github-webhooks.jsonl");

/// What was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Input {
    /// The lines that hold a webhook.
    pub(crate) lines: Vec<Line>,
    /// The lines that do not.
    pub(crate) bad: Vec<BadLine>,
}

/// A line that holds a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Its number, counted from 1.
    pub(crate) number: u32,
    /// Its text.
    pub(crate) text: Arc<str>,
}

/// A line that is skipped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// Its number, counted from 1.
    pub(crate) number: u32,
    /// What is wrong with it.
    pub(crate) reason: String,
}

/// Reads the file at `path`, or the built-in webhooks.
pub(crate) fn read(path: Option<&Path>) -> std::io::Result<Input> {
    Ok(match path {
        Some(path) => split(&std::fs::read(path)?),
        None => split(BUILT_IN),
    })
}

/// Sorts the lines of `bytes` into good and bad. Blank lines are neither.
fn split(bytes: &[u8]) -> Input {
    let mut input = Input::default();
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        if line.trim_ascii().is_empty() {
            continue;
        }
        match check(line) {
            Ok(text) => input.lines.push(Line { number, text }),
            Err(malformed) => input.bad.push(BadLine { number, reason: malformed.to_string() }),
        }
    }
    input
}

fn check(line: &[u8]) -> Result<Arc<str>, Malformed> {
    let text = std::str::from_utf8(line).map_err(|_| Malformed::NotUtf8)?.trim();
    webhook::parse(text)?;
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_webhooks_are_all_good() {
        let input = read(None).unwrap();
        assert_eq!(input.lines.len(), 329);
        assert_eq!(input.bad, []);
        assert_eq!(input.lines.last().map(|line| line.number), Some(329));
    }

    #[test]
    fn bad_lines_are_set_aside_by_number_and_blank_ones_are_no_lines() {
        let text = b"{\"event\":\"ping\",\"payload\":{}}\r\n\n  \n{\"event\":\n\xff\xfe\n[]\n{\"event\":\"fork\",\"payload\":{}}";
        let Input { lines, bad } = split(text);
        assert_eq!(lines.iter().map(|line| line.number).collect::<Vec<_>>(), [1, 7]);
        assert_eq!(&*lines[0].text, r#"{"event":"ping","payload":{}}"#);
        assert_eq!(bad.iter().map(|line| line.number).collect::<Vec<_>>(), [4, 5, 6]);
        assert_eq!(bad[1].reason, "it is not UTF-8");
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(Some(&folder.path().join("none.jsonl"))).is_err());
    }
}
