//! The report: what the stored results of all instances come to. No times, and nothing that depends on who ran what when.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::Serialize;

use super::digest::Words;
use super::values::Outcome;

/// How many words and repositories people are shown.
const SHOWN: usize = 10;

/// The report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// Webhooks by event type and action (`none` where the event has no actions).
    events: BTreeMap<String, BTreeMap<String, u64>>,
    /// Webhooks by family.
    families: BTreeMap<&'static str, u64>,
    /// Webhooks by repository.
    repositories: BTreeMap<String, u64>,
    /// Words in the texts that people wrote.
    words: u64,
    /// Different ones among them.
    distinct_words: u64,
    /// The most frequent ones, by count and then by alphabet.
    top_words: Vec<(String, u64)>,
    /// Elements of arrays.
    items: u64,
    /// Those, by the name of the array.
    items_by_list: BTreeMap<String, u64>,
    /// Pages of items gone through.
    pages: u64,
    /// Webhooks that waited for an approval.
    approved: u64,
}

/// Sums up outcomes, in any order.
pub(crate) fn report<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Report {
    let mut report = Report::default();
    let mut words = Words::new();
    for outcome in outcomes {
        let Outcome { event, action, family, repository, headline: _, words: own, pages, lists, approved_by } = outcome;
        let action = action.as_deref().unwrap_or("none");
        count(report.events.entry(event.clone()).or_default(), action, 1);
        *report.families.entry(family.key()).or_default() += 1;
        if let Some(repository) = repository {
            count(&mut report.repositories, repository, 1);
        }
        for (word, times) in own {
            count(&mut words, word, *times);
        }
        for (list, times) in lists {
            count(&mut report.items_by_list, list, *times);
        }
        report.pages += pages;
        report.approved += u64::from(approved_by.is_some());
    }
    report.words = words.values().sum();
    report.distinct_words = words.len() as u64;
    report.top_words = most_frequent(&words);
    report.items = report.items_by_list.values().sum();
    report
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str, times: u64) {
    if let Some(counted) = counts.get_mut(name) {
        *counted += times;
    } else {
        counts.insert(name.to_owned(), times);
    }
}

fn most_frequent(counts: &BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let mut all: Vec<(String, u64)> = counts.iter().map(|(name, times)| (name.clone(), *times)).collect();
    // A stable sort: names of equal count stay in alphabetical order.
    all.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    all.truncate(SHOWN);
    all
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, families, repositories, words, distinct_words, top_words, items, items_by_list, pages, approved } = self;
        writeln!(f, "Events ({} types)", events.len())?;
        for (event, actions) in events {
            let total: u64 = actions.values().sum();
            writeln!(f, "  {event:<34}{total:>5}  {}", listed(actions.iter()))?;
        }
        writeln!(f, "Families")?;
        writeln!(f, "  {}", listed(families.iter()))?;
        writeln!(f, "Repositories ({})", repositories.len())?;
        for (repository, times) in most_frequent(repositories) {
            writeln!(f, "  {repository:<34}{times:>5}")?;
        }
        writeln!(f, "Words: {words}, {distinct_words} different ones; most frequent:")?;
        writeln!(f, "  {}", listed(top_words.iter().map(|(word, times)| (word, times))))?;
        writeln!(f, "Items: {items} in {pages} pages")?;
        writeln!(f, "  {}", listed(most_frequent(items_by_list).iter().map(|(list, times)| (list, times))))?;
        write!(f, "Approved: {approved}")
    }
}

fn listed<'a, N: fmt::Display + 'a>(counts: impl Iterator<Item = (&'a N, &'a u64)>) -> String {
    let mut text = String::new();
    for (name, times) in counts {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{comma}{name} {times}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::family::Family;
    use super::*;

    fn outcome(event: &str, action: Option<&str>, words: &[(&str, u64)]) -> Outcome {
        Outcome {
            event: event.into(),
            action: action.map(Into::into),
            family: Family::of(event),
            repository: Some("octo/repo".into()),
            headline: String::new(),
            words: words.iter().map(|(word, times)| ((*word).to_owned(), *times)).collect(),
            pages: 2,
            lists: BTreeMap::from([("labels".to_owned(), 6)]),
            approved_by: (event == "release").then(|| "demo".to_owned()),
        }
    }

    #[test]
    fn outcomes_are_summed_up_whatever_their_order() {
        let outcomes = [
            outcome("issues", Some("opened"), &[("bug", 2), ("a", 1)]),
            outcome("push", None, &[("a", 1), ("fix", 5)]),
            outcome("release", Some("released"), &[]),
            outcome("issues", Some("opened"), &[("bug", 1)]),
        ];
        let report = report(&outcomes);
        assert_eq!(report, super::report(outcomes.iter().rev()));
        assert_eq!(
            serde_json::to_value(&report).unwrap(),
            serde_json::json!({
                "events": {"issues": {"opened": 2}, "push": {"none": 1}, "release": {"released": 1}},
                "families": {"code": 1, "shipping": 1, "talk": 2},
                "repositories": {"octo/repo": 4},
                "words": 10, "distinct_words": 3, "top_words": [["fix", 5], ["bug", 3], ["a", 2]],
                "items": 24, "items_by_list": {"labels": 24}, "pages": 8, "approved": 1
            })
        );
        let text = report.to_string();
        assert!(text.contains("Words: 10, 3 different ones"), "{text}");
        assert!(text.contains("fix 5, bug 3, a 2"), "{text}");
    }
}
