//! What a store holds, as text: one line a branch, an event and a journal row. Written beside the file, and compared with it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sayiir::core::journal::JournalRow;
use sayiir::core::time::Timestamp;
use sayiir::persistence::{BranchSummary, InstanceFilter, InstanceRecord, Store};

/// The start of the file's time.
const START: i64 = 1_893_456_000_000_000;

fn time(at: Timestamp) -> String {
    format!("{}s", (at.as_micros() - START) / 1_000_000)
}

fn maybe(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), time)
}

fn bytes(value: Option<&[u8]>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| String::from_utf8_lossy(value).into_owned())
}

fn text(value: Option<&str>) -> String {
    bytes(value.map(str::as_bytes))
}

fn instance(record: &InstanceRecord) -> String {
    let summary = &record.summary;
    format!(
        "{}: {:?}, run {}, {} {}, created {}, updated {}, input {}, output {}, first {}, asked to cancel {}, to pause {}",
        summary.instance_id,
        summary.status,
        summary.run,
        summary.definition.name,
        summary.definition.version,
        time(summary.created_at),
        time(summary.updated_at),
        bytes(Some(&record.input)),
        bytes(record.output.as_deref()),
        record.first_node,
        record.cancel_request.is_some(),
        record.pause_request.is_some(),
    )
}

fn branch(branch: &BranchSummary) -> String {
    format!(
        "  branch {} r{}: {:?} {}, attempt {}, input {}.{}, lease {}, run at {}, due at {}, awaits {}, pending {}, crashes {}",
        branch.branch,
        branch.revision,
        branch.head.phase,
        branch.head.node,
        branch.head.attempt,
        branch.head.input.branch,
        branch.head.input.revision,
        branch.lease.map_or_else(|| "-".to_owned(), |lease| lease.to_string()),
        maybe(branch.run_at),
        maybe(branch.due_at),
        text(branch.awaits.as_deref()),
        branch.pending,
        branch.crashes,
    )
}

fn row(row: &JournalRow) -> String {
    format!(
        "  {} {}.{} {} {}, attempt {}, output {}, handed on {}, as {}, error {}",
        time(row.at),
        row.branch,
        row.revision,
        row.kind.as_str(),
        row.node,
        row.attempt,
        bytes(row.output.as_deref()),
        bytes(row.handed_on.as_deref()),
        row.same_as.as_ref().map_or_else(|| "-".to_owned(), |same| format!("{}.{}", same.branch, same.revision)),
        text(row.error.as_deref()),
    )
}

/// The lines of each instance.
pub(crate) async fn picture(store: &dyn Store) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for summary in store.list(InstanceFilter::default()).await.unwrap() {
        let id = &*summary.instance_id;
        let record = store.instance(id).await.unwrap().unwrap();
        let mut lines = instance(&record) + "\n";
        for each in &record.branches {
            lines += &(branch(each) + "\n");
        }
        // The events' numbers and names are few.
        for (name, seq) in ["sign", "stamp", "go", "noise"].iter().flat_map(|name| (1..=9).map(move |seq| (name, seq))) {
            if let Some(payload) = store.read_event(id, name, seq).await.unwrap() {
                writeln!(lines, "  event {name} {seq}: {}", bytes(Some(&payload))).unwrap();
            }
        }
        for each in store.journal(summary.run, None, 1000).await.unwrap() {
            lines += &(row(&each) + "\n");
        }
        all.insert(id.to_owned(), lines);
    }
    all
}

/// All lines, as they are kept in a file.
pub(crate) fn text_of(picture: &BTreeMap<String, String>) -> String {
    picture.values().cloned().collect()
}
