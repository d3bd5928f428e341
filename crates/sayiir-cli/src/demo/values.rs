//! The values that go from step to step, and the pure function behind each step.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::digest::{self, Item, Words};
use super::family::{self, Family};
use super::webhook::{self, Malformed, Webhook};

/// The input of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delivery {
    /// The line's number in the input.
    pub(crate) line: u32,
    /// The line's text.
    pub(crate) text: Arc<str>,
}

/// A webhook with the line it came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Parsed {
    pub(crate) line: u32,
    pub(crate) webhook: Webhook,
}

/// A webhook that went through its family's arm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sorted {
    pub(crate) line: u32,
    pub(crate) family: Family,
    pub(crate) subject: String,
    pub(crate) webhook: Webhook,
}

/// What the summarising branch makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summarised {
    pub(crate) line: u32,
    pub(crate) event: String,
    pub(crate) action: Option<String>,
    pub(crate) family: Family,
    pub(crate) repository: Option<String>,
    pub(crate) headline: String,
    pub(crate) items: Vec<Item>,
}

/// A digested webhook on its way through the pages of its items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Digest {
    pub(crate) summary: Summarised,
    pub(crate) words: Words,
    /// Pages gone through, the empty one of a webhook without items included.
    pub(crate) pages: u64,
    /// Items met so far, by the array they stand in.
    pub(crate) lists: BTreeMap<String, u64>,
}

/// The payload of an approval event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Approval {
    /// Who approved.
    pub(crate) by: String,
}

/// The result of an instance: what the report is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) event: String,
    pub(crate) action: Option<String>,
    pub(crate) family: Family,
    pub(crate) repository: Option<String>,
    pub(crate) headline: String,
    pub(crate) words: Words,
    pub(crate) pages: u64,
    pub(crate) lists: BTreeMap<String, u64>,
    pub(crate) approved_by: Option<String>,
}

/// The step that fails does so on the first attempt for every line whose number this divides.
const FLAKY_LINE: u32 = 7;

/// A failure that a retry heals.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is refused on its first attempt")]
pub(crate) struct Refused {
    line: u32,
}

/// Parses and validates a line.
pub(crate) fn parse(delivery: &Delivery) -> Result<Parsed, Malformed> {
    let Delivery { line, text } = delivery;
    Ok(Parsed { line: *line, webhook: webhook::parse(text)? })
}

/// Sorts a webhook into a family.
pub(crate) fn sort(family: Family, parsed: Parsed) -> Sorted {
    let Parsed { line, webhook } = parsed;
    Sorted { line, family, subject: family::subject(family, &webhook), webhook }
}

/// Makes a summary.
pub(crate) fn summarise(sorted: &Sorted) -> Summarised {
    let Sorted { line, family, subject, webhook } = sorted;
    Summarised {
        line: *line,
        event: webhook.event.clone(),
        action: webhook.action.clone(),
        family: *family,
        repository: webhook.text(&["repository", "full_name"]).map(str::to_owned),
        headline: digest::headline(webhook, subject),
        items: digest::items(webhook),
    }
}

/// Joins index and summary.
pub(crate) fn combine(words: Words, summary: Summarised) -> Digest {
    Digest { summary, words, pages: 0, lists: BTreeMap::new() }
}

/// Goes through one page of items; true when it was the last.
pub(crate) fn turn_page(mut digest: Digest) -> (Digest, bool) {
    let from = usize::try_from(digest.pages).unwrap_or(usize::MAX).saturating_mul(digest::PAGE);
    for Item { list, label: _ } in digest::page(&digest.summary.items, from) {
        *digest.lists.entry(list.clone()).or_default() += 1;
    }
    digest.pages += 1;
    let last = digest.summary.items.len() <= from.saturating_add(digest::PAGE);
    (digest, last)
}

/// Hands a digest on to a service that refuses every 7th line once.
pub(crate) fn hand_over(digest: Digest, attempt: u32) -> Result<Digest, Refused> {
    let line = digest.summary.line;
    if line.is_multiple_of(FLAKY_LINE) && attempt <= 1 { Err(Refused { line }) } else { Ok(digest) }
}

/// Makes the result.
pub(crate) fn conclude(digest: Digest, approval: Option<Approval>) -> Outcome {
    let Digest { summary, words, pages, lists } = digest;
    let Summarised { line: _, event, action, family, repository, headline, items: _ } = summary;
    Outcome { event, action, family, repository, headline, words, pages, lists, approved_by: approval.map(|Approval { by }| by) }
}

#[cfg(test)]
mod tests {
    use super::super::input;
    use super::*;

    fn digested(delivery: &Delivery) -> Digest {
        let parsed = parse(delivery).unwrap();
        let sorted = sort(Family::of(&parsed.webhook.event), parsed);
        combine(digest::index(&sorted.webhook), summarise(&sorted))
    }

    fn delivery(line: u32, labels: usize) -> Delivery {
        let labels = vec!["1"; labels].join(",");
        let text = format!(r#"{{"event": "label", "action": "created", "payload": {{"action": "created", "labels": [{labels}]}}}}"#);
        Delivery { line, text: text.into() }
    }

    fn all_pages(mut digest: Digest) -> Digest {
        loop {
            let (next, last) = turn_page(digest);
            if last {
                return next;
            }
            digest = next;
        }
    }

    #[test]
    fn items_take_a_page_for_each_five_and_none_take_one() {
        for (labels, pages) in [(0, 1), (1, 1), (5, 1), (6, 2), (10, 2), (11, 3)] {
            let digest = all_pages(digested(&delivery(1, labels)));
            assert_eq!((digest.pages, digest.lists.values().sum::<u64>()), (pages, labels as u64), "{labels} labels");
        }
    }

    #[test]
    fn every_seventh_line_fails_once() {
        let fails = |line, attempt| hand_over(digested(&delivery(line, 0)), attempt).is_err();
        assert!(fails(7, 1) && fails(14, 1));
        assert!(!fails(7, 2) && !fails(8, 1));
    }

    #[test]
    fn every_built_in_line_comes_to_an_outcome() {
        for line in input::read(None).unwrap().lines {
            let outcome = conclude(all_pages(digested(&Delivery { line: line.number, text: line.text })), None);
            assert!(outcome.headline.starts_with(&outcome.event), "{}", outcome.headline);
            assert_eq!(outcome.approved_by, None);
        }
    }
}
