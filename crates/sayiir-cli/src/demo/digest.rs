//! What a webhook comes to: its words, its array items in pages, a headline. Pure functions over JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::webhook::Webhook;

/// How many items a page holds.
pub(crate) const PAGE: usize = 5;

/// How often each word occurs in the text that people wrote.
pub(crate) type Words = BTreeMap<String, u64>;

/// An element of an array somewhere in a payload: the array's name, and the element in a word or two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    /// The name of the array, such as `labels`.
    pub(crate) list: String,
    /// What tells this element from others, such as `bug`.
    pub(crate) label: String,
}

/// Counts the words of a payload: of every text with a space in it, which leaves out ids, links and times.
pub(crate) fn index(webhook: &Webhook) -> Words {
    let mut words = Words::new();
    webhook.payload.values().for_each(|value| count_words(value, &mut words));
    words
}

fn count_words(value: &Value, words: &mut Words) {
    match value {
        Value::String(text) if text.contains(char::is_whitespace) => {
            let parts = text.split(|c: char| !c.is_alphanumeric()).filter(|part| part.contains(char::is_alphabetic));
            for word in parts {
                *words.entry(word.to_lowercase()).or_default() += 1;
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| count_words(element, words)),
        Value::Object(fields) => fields.values().for_each(|field| count_words(field, words)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The elements of all arrays of a payload, nested ones too, in the order of their fields.
pub(crate) fn items(webhook: &Webhook) -> Vec<Item> {
    let mut found = Vec::new();
    webhook.payload.iter().for_each(|(name, value)| collect_items(name, value, &mut found));
    found
}

fn collect_items(name: &str, value: &Value, found: &mut Vec<Item>) {
    match value {
        Value::Array(elements) => {
            for element in elements {
                found.push(Item { list: name.to_owned(), label: label(element) });
                collect_items(name, element, found);
            }
        }
        Value::Object(fields) => fields.iter().for_each(|(name, field)| collect_items(name, field, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn label(element: &Value) -> String {
    const NAMES: [&str; 6] = ["name", "title", "login", "full_name", "sha", "id"];
    let told = match element {
        Value::Object(fields) => NAMES.iter().find_map(|name| fields.get(*name)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Some(element),
    };
    let text = match told {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(elements)) => format!("{} elements", elements.len()),
        Some(value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_))) => value.to_string(),
        None => "unnamed".to_owned(),
    };
    text.chars().take(80).collect()
}

/// The page that begins at item `from`; empty behind the last item.
pub(crate) fn page(items: &[Item], from: usize) -> &[Item] {
    let rest = items.get(from..).unwrap_or_default();
    rest.get(..PAGE).unwrap_or(rest)
}

/// One line that says what happened.
pub(crate) fn headline(webhook: &Webhook, subject: &str) -> String {
    let who = webhook.text(&["sender", "login"]).unwrap_or("somebody");
    let what = webhook.action.as_deref().map_or_else(|| webhook.event.clone(), |action| format!("{} {action}", webhook.event));
    match webhook.text(&["repository", "full_name"]) {
        Some(repository) => format!("{what} by {who} in {repository}: {subject}"),
        None => format!("{what} by {who}: {subject}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{input, webhook};
    use super::*;

    fn sample(payload: &str) -> Webhook {
        webhook::parse(&format!(r#"{{"event": "issues", "action": null, "payload": {payload}}}"#)).unwrap()
    }

    #[test]
    fn words_are_counted_in_texts_and_not_in_ids() {
        let webhook = sample(r#"{"title": "A bug, a BUG!", "node_id": "bug", "comments": [{"body": "42 bugs"}], "n": 3}"#);
        let words: Vec<(String, u64)> = index(&webhook).into_iter().collect();
        assert_eq!(words, [("a".into(), 2), ("bug".into(), 2), ("bugs".into(), 1)]);
    }

    #[test]
    fn items_are_the_elements_of_all_arrays() {
        let webhook = sample(r#"{"issue": {"labels": [{"name": "bug"}, {"id": 7}]}, "pages": ["x", [null]], "none": []}"#);
        let found: Vec<_> = items(&webhook).into_iter().map(|item| format!("{}:{}", item.list, item.label)).collect();
        assert_eq!(found, ["labels:bug", "labels:7", "pages:x", "pages:1 elements", "pages:null"]);
    }

    #[test]
    fn pages_hold_five_and_cover_everything_once() {
        let item = |n: usize| Item { list: "l".into(), label: n.to_string() };
        let all: Vec<Item> = (0..12).map(item).collect();
        assert_eq!([page(&all, 0).len(), page(&all, 5).len(), page(&all, 10).len(), page(&all, 15).len()], [5, 5, 2, 0]);
        assert_eq!([page(&all, 0), page(&all, 5), page(&all, 10)].concat(), all);
        assert!(page(&[], 0).is_empty());
    }

    #[test]
    fn the_headline_names_who_what_and_where() {
        let webhook = sample(r#"{"sender": {"login": "octo"}, "repository": {"full_name": "octo/repo"}}"#);
        assert_eq!(headline(&webhook, "Help"), "issues by octo in octo/repo: Help");
    }

    #[test]
    fn the_built_in_webhooks_have_items_and_words() {
        let webhooks: Vec<_> = input::read(None).unwrap().lines.iter().map(|line| webhook::parse(&line.text).unwrap()).collect();
        assert_eq!(webhooks.iter().map(|webhook| items(webhook).len()).sum::<usize>(), 558);
        assert_eq!(webhooks.iter().filter(|webhook| items(webhook).is_empty()).count(), 180);
        assert!(webhooks.iter().map(|webhook| index(webhook).values().sum::<u64>()).sum::<u64>() > 1_000);
    }
}
