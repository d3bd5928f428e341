//! The rows of instances, branches and views: their columns, and how they become our types.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::DefinitionHash;
use sayiir_core::attribute::SearchAttributes;
use sayiir_core::branch::{BranchId, Head, JournalRef, Phase, Placement, RunNumber};
use sayiir_core::control::SignalRequest;
use sayiir_core::time::Timestamp;
use sayiir_persistence::rows::Stage;
use sayiir_persistence::{BranchSummary, BranchView, Definition, EventHead, Progress, RunState, StoreError};

use super::attributes;
use super::fault::{Fault, Outcome};
use crate::sql::{Columns, Row};

/// The value that a row of the journal holds: handed on, else output, else of the row it refers to.
macro_rules! value_of {
    ($run:literal, $branch:literal, $revision:literal) => {
        concat!(
            "(WITH RECURSIVE held (output, handed_on, same_branch, same_revision) AS (\
             SELECT output, handed_on, same_branch, same_revision FROM sayiir_journal WHERE run = ",
            $run,
            " AND branch = ",
            $branch,
            " AND revision = ",
            $revision,
            " UNION ALL SELECT j.output, j.handed_on, j.same_branch, j.same_revision FROM held JOIN sayiir_journal j ON j.run = ",
            $run,
            " AND j.branch = held.same_branch AND j.revision = held.same_revision \
             WHERE held.handed_on IS NULL AND held.output IS NULL) \
             SELECT coalesce(handed_on, output) FROM held WHERE handed_on IS NOT NULL OR output IS NOT NULL LIMIT 1)"
        )
    };
}
pub(super) use value_of;

/// What an owner sees of the branches that a condition on `b` (the branch) and `i` (its instance) names.
macro_rules! views {
    ($where:literal) => {
        concat!(
            "SELECT i.instance_id, b.run, d.hash, b.branch, b.revision, b.node, b.phase, b.attempt, b.input_branch, b.input_revision, \
             b.fork_revision, b.crashes, b.due_at, b.pending, i.status, i.paused, i.cancel_at, i.pause_at, i.mail, i.trace, \
             CASE WHEN b.phase <> 4 THEN ",
            $crate::store::rows::value_of!("b.run", "b.input_branch", "b.input_revision"),
            " END AS input, CASE WHEN i.mail > 0 THEN (SELECT json_group_array(json_array(name, seq, at)) FROM \
             (SELECT name, min(seq) AS seq, at FROM sayiir_event WHERE run = i.run GROUP BY name ORDER BY name)) END AS events \
             FROM sayiir_branch b JOIN sayiir_instance i ON i.run = b.run \
             JOIN sayiir_definition d ON d.id = i.definition WHERE ",
            $where
        )
    };
}
pub(super) use views;

/// A view; an error if its input is not there.
pub(super) fn view(row: &Row, now: Timestamp) -> Outcome<BranchView> {
    let mut columns = row.columns();
    let (instance_id, run, definition) = (columns.take()?, columns.take()?, columns.take()?);
    let (branch, revision) = (columns.take()?, columns.take()?);
    let head = head(&mut columns)?;
    let (crashes, due_at, pending) = (columns.take()?, columns.take()?, columns.take()?);
    let stage = Stage::from_code(columns.take()?, columns.take()?).unwrap_or(Stage::MailOnly);
    let (cancel, pause): (Option<Timestamp>, Option<Timestamp>) = (columns.take()?, columns.take()?);
    let (mail, trace) = (columns.take()?, columns.take()?);
    let (input, events): (Option<Bytes>, Option<String>) = (columns.take()?, columns.take()?);
    let (events, input) = (event_heads(events.as_deref())?, input.filter(|_| head.phase != Phase::Joining));
    let missing = head.phase != Phase::Joining && input.is_none();
    let view = BranchView {
        instance_id,
        run,
        definition,
        branch,
        revision,
        head,
        crashes,
        due_at,
        pending,
        paused: stage.is_paused(),
        requested: stage.requested(cancel.is_some(), pause.is_some()),
        mail,
        events,
        input: input.unwrap_or_default(),
        trace,
        now,
    };
    if missing { Err(missing_value(&view.instance_id, run, &view.head.input)) } else { Ok(view) }
}

pub(super) fn missing_value(instance_id: &str, run: RunNumber, of: &JournalRef) -> Fault {
    let JournalRef { branch, revision } = of;
    Fault::corrupt(format!(
        "the journal of instance {instance_id:?} (run {run}) lacks the value of the row at revision {revision} of branch {branch}"
    ))
}

fn head(columns: &mut Columns<'_>) -> Result<Head, StoreError> {
    let (node, phase, attempt) = (columns.take()?, columns.take()?, columns.take()?);
    let input = JournalRef { branch: columns.take()?, revision: columns.take()? };
    Ok(Head { node, phase, attempt, input, fork_revision: columns.take()? })
}

fn event_heads(json: Option<&str>) -> Outcome<Vec<EventHead>> {
    let Some(json) = json else { return Ok(Vec::new()) };
    let heads: Vec<(Arc<str>, u64, i64)> =
        serde_json::from_str(json).map_err(|_| Fault::corrupt("the events of an instance are no list"))?;
    Ok(heads.into_iter().map(|(name, seq, at)| EventHead { name, seq, at: Timestamp::from_micros(at) }).collect())
}

/// Tags as the text of a lane: a JSON list.
pub(super) fn tags_text(tags: &[String]) -> String {
    serde_json::to_string(tags).unwrap_or_default()
}

/// The tags of a lane.
pub(super) fn tags(text: &str) -> Outcome<Arc<[String]>> {
    serde_json::from_str::<Vec<String>>(text).map(Arc::from).map_err(|_| Fault::corrupt(format!("the tags {text:?} are no list")))
}

/// The columns of a branch as people see it, of `b` and its lane `l`.
pub(super) const SUMMARY: &str = "b.run, b.branch, b.revision, b.node, b.phase, b.attempt, b.input_branch, b.input_revision, \
     b.fork_revision, b.lease, b.run_at, b.due_at, b.awaits, b.pending, l.tags, b.priority, b.crashes, b.attempt_at, b.progress, \
     b.progress_at";

/// A branch as people see it, with its run.
pub(super) fn summary(row: &Row) -> Outcome<(RunNumber, BranchSummary)> {
    let mut columns = row.columns();
    let (run, branch, revision) = (columns.take()?, columns.take()?, columns.take()?);
    let head = head(&mut columns)?;
    let (lease, run_at, due_at) = (columns.take()?, columns.take()?, columns.take()?);
    let (awaits, pending) = (columns.take()?, columns.take()?);
    let (text, priority): (Option<String>, _) = (columns.take()?, columns.take()?);
    let placement = Placement { tags: tags(text.as_deref().unwrap_or("[]"))?, priority };
    let (crashes, attempt_at) = (columns.take()?, columns.take()?);
    let (progress, at): (Option<Bytes>, Option<Timestamp>) = (columns.take()?, columns.take()?);
    let progress = progress.zip(at).map(|(payload, at)| Progress { payload, at });
    let summary =
        BranchSummary { branch, revision, head, lease, run_at, due_at, awaits, pending, placement, crashes, attempt_at, progress };
    Ok((run, summary))
}

/// The columns of an instance `i` with its definition `d` and the error and output of its end.
macro_rules! instances {
    ($rest:literal) => {
        concat!(
            "SELECT i.run, i.instance_id, i.status, i.paused, d.hash, d.name, d.version, i.created_at, i.updated_at, i.nonce, \
             i.request_reason, i.request_by, i.request_at, i.cancel_reason, i.cancel_by, i.cancel_at, i.pause_reason, i.pause_by, \
             i.pause_at, CASE WHEN i.status = 3 THEN (SELECT error FROM sayiir_journal j WHERE j.run = i.run AND j.branch = i.end_branch \
             AND j.revision = i.end_revision) END AS error, i.first_node, l.tags, i.priority, i.end_branch, i.end_revision, \
             (SELECT json_group_array(json_array(a.name, a.kind, a.number, a.text)) FROM sayiir_attribute a WHERE a.run = i.run) AS attributes \
             FROM sayiir_instance i LEFT JOIN sayiir_definition d ON d.id = i.definition LEFT JOIN sayiir_lane l ON l.id = i.lane ",
            $rest
        )
    };
}
pub(super) use instances;

/// An instance that has a run, as its row has it.
#[derive(Debug, Clone)]
pub(super) struct InstanceRow {
    pub(super) run: RunNumber,
    pub(super) instance_id: Arc<str>,
    pub(super) state: RunState,
    pub(super) definition: Definition,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) nonce: Option<String>,
    pub(super) request: Option<SignalRequest>,
    pub(super) cancel: Option<SignalRequest>,
    pub(super) pause: Option<SignalRequest>,
    pub(super) error: Option<String>,
    pub(super) first_node: Arc<str>,
    pub(super) placement: Placement,
    pub(super) end: Option<JournalRef>,
    pub(super) attributes: SearchAttributes,
}

impl InstanceRow {
    /// `None` for an id that only has events.
    pub(super) fn read(row: &Row) -> Outcome<Option<Self>> {
        let mut columns = row.columns();
        let (run, instance_id) = (columns.take()?, columns.take()?);
        let (status, paused) = (columns.take()?, columns.take()?);
        let state = match Stage::from_code(status, paused) {
            Some(Stage::MailOnly) => return Ok(None),
            Some(Stage::Run(state)) => state,
            None => return Err(Fault::corrupt(format!("instance {instance_id:?} has the status {status}"))),
        };
        let hash: DefinitionHash = columns.take()?;
        let definition = Definition { hash, name: columns.take()?, version: columns.take()?, document: None };
        let (created_at, updated_at, nonce) = (columns.take()?, columns.take()?, columns.take()?);
        let (request, cancel, pause) = (request(&mut columns)?, request(&mut columns)?, request(&mut columns)?);
        let (error, first_node) = (columns.take()?, columns.take()?);
        let placement = Placement { tags: tags(&columns.take::<String>()?)?, priority: columns.take()? };
        let end: (Option<BranchId>, Option<u64>) = (columns.take()?, columns.take()?);
        let end = end.0.zip(end.1).map(|(branch, revision)| JournalRef { branch, revision });
        let attributes = attributes::from_json(columns.take::<Option<String>>()?.as_deref())?;
        Ok(Some(Self {
            run,
            instance_id,
            state,
            definition,
            created_at,
            updated_at,
            nonce,
            request,
            cancel,
            pause,
            error,
            first_node,
            placement,
            end,
            attributes,
        }))
    }
}

fn request(columns: &mut Columns<'_>) -> Result<Option<SignalRequest>, StoreError> {
    let (reason, requested_by, at): (_, _, Option<Timestamp>) = (columns.take()?, columns.take()?, columns.take()?);
    Ok(at.map(|at| SignalRequest { reason, requested_by, requested_at: at.into() }))
}
