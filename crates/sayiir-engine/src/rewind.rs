//! Where a run can begin anew: from its journal, the row behind which the root branch came to a node, and the node's input.
//!
//! The journal says where a branch went only by the row of the node that it came to next; so it is read backwards from there.

use std::sync::Arc;

use sayiir_core::branch::{BranchId, Head, JournalRef, Phase};
use sayiir_core::journal::{EntryKind, JournalRow};
use sayiir_core::plan::{Container, Plan};

/// What a new run that begins at a node keeps of the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewindPoint {
    /// The node, with its iterations; a loop or an inlined workflow begins at its first node.
    pub node: Arc<str>,
    /// The revision of the last row of the root branch that is kept.
    pub keep: u64,
    /// The row of the root branch that holds the node's input.
    pub input: JournalRef,
}

/// Why a run cannot begin anew at a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RewindError {
    /// The run never came there.
    #[error("the run never came to {node:?}: its journal has nothing of it, and its root branch does not stand there")]
    NotReached {
        /// The node that was asked for.
        node: String,
    },
    /// The node stands inside a fork.
    #[error("{node:?} stands inside {}, whose branches begin together: rewind to the fork",
        .fork.as_ref().map_or_else(|| "a fork".to_owned(), |fork| format!("the fork {fork:?}")))]
    InsideFork {
        /// The node that was asked for.
        node: String,
        /// The outermost fork around it, if it can be told.
        fork: Option<Arc<str>>,
    },
    /// The workflow has no such node.
    #[error("workflow {workflow:?} has no node {node:?}")]
    NoNode {
        /// The node that was asked for.
        node: String,
        /// The workflow.
        workflow: Arc<str>,
    },
}

/// Finds the point at which a run begins anew at the node `to`: a path with its iterations, or without, which means the first
/// time. `journal` is the run's, in the order in which the store tells it; values are not looked at. `root` is where the root
/// branch stands, if it lives.
pub fn rewind_point(journal: &[JournalRow], root: Option<&Head>, to: &str) -> Result<RewindPoint, RewindError> {
    let mut rows: Vec<_> = journal.iter().filter(|row| row.branch == BranchId::root()).collect();
    rows.sort_by_key(|row| row.revision);
    let found = rows.iter().enumerate().find_map(|(at, row)| Some((at, entered(row, to)?)));
    let (at, node) = match found {
        Some(found) => found,
        None => (rows.len(), waits_at(root, to).or_else(|| began_at(&rows, to)).ok_or_else(|| not_on_the_root(journal, &rows, root, to))?),
    };
    let puts = |row: &&&JournalRow| matches!(row.kind, EntryKind::Imported | EntryKind::Rewound);
    let last = match rows.get(at).filter(puts) {
        Some(_) => Some(at),
        None => rows.iter().take(at).rposition(|row| moves(row.kind)),
    };
    let kept = last.and_then(|last| Some((last, rows.get(last)?)));
    let (last, row) = kept.ok_or_else(|| RewindError::NotReached { node: to.to_owned() })?;
    Ok(RewindPoint { node, keep: row.revision, input: input_behind(&rows, last) })
}

/// Refuses a node that no run of the plan could begin at.
pub fn check_rewind(plan: &Plan, to: &str) -> Result<(), RewindError> {
    let Some(mut node) = plan.find(&without_iterations(to)) else {
        return Err(RewindError::NoNode { node: to.to_owned(), workflow: Arc::clone(plan.name()) });
    };
    let mut fork = None;
    while let Some(container) = plan.node(node).container {
        node = container.node();
        match container {
            Container::Branch { .. } => fork = Some(Arc::clone(&plan.node(node).path)),
            Container::Arm { .. } | Container::DefaultArm { .. } | Container::Body { .. } | Container::Child { .. } => {}
        }
    }
    match fork {
        Some(fork) => Err(RewindError::InsideFork { node: to.to_owned(), fork: Some(fork) }),
        None => Ok(()),
    }
}

/// A path without the iterations and keys behind its loops and default arms.
fn without_iterations(path: &str) -> String {
    let mut pieces = path.split('[');
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |path, piece| path + piece.split_once(']').map_or("", |(_slot, rest)| rest))
}

/// Whether `path` is the node `to`, or stands inside it. With an iteration of its own, `to` means that one.
fn is_at(path: &str, to: &str) -> bool {
    let path = if to.contains('[') { path.to_owned() } else { without_iterations(path) };
    path.strip_prefix(to).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The node of a row, if it is the one that is looked for.
fn entered(row: &JournalRow, to: &str) -> Option<Arc<str>> {
    let node = match row.kind {
        // The node there is where the run began; it came there by this row.
        EntryKind::Started => return None,
        EntryKind::SubStepCompleted => Arc::from(row.node.rsplit_once('/')?.0),
        EntryKind::TaskCompleted
        | EntryKind::JoinCompleted
        | EntryKind::RouteTaken
        | EntryKind::AttemptFailed
        | EntryKind::DelayStarted
        | EntryKind::DelayElapsed
        | EntryKind::SignalAwaited
        | EntryKind::EventReceived
        | EntryKind::SignalTimedOut
        | EntryKind::Forked
        | EntryKind::Failed
        | EntryKind::Cancelled
        | EntryKind::Paused
        | EntryKind::Unpaused
        | EntryKind::Imported
        | EntryKind::Retried
        | EntryKind::Rewound => Arc::clone(&row.node),
    };
    is_at(&node, to).then_some(node)
}

/// The node where the root branch stands, if it is the one that is looked for.
fn waits_at(root: Option<&Head>, to: &str) -> Option<Arc<str>> {
    let head = root?;
    is_at(&head.node, to).then(|| Arc::clone(&head.node))
}

/// The node where the run began, if nothing was stored since, and it is the one that is looked for.
fn began_at(rows: &[&JournalRow], to: &str) -> Option<Arc<str>> {
    let row = rows.first().filter(|row| row.kind == EntryKind::Started && rows.len() == 1)?;
    is_at(&row.node, to).then(|| Arc::clone(&row.node))
}

/// Whether a row of this kind took its branch to another node.
const fn moves(kind: EntryKind) -> bool {
    match kind {
        EntryKind::Started
        | EntryKind::TaskCompleted
        | EntryKind::JoinCompleted
        | EntryKind::RouteTaken
        | EntryKind::DelayElapsed
        | EntryKind::EventReceived
        | EntryKind::SignalTimedOut
        | EntryKind::Imported
        | EntryKind::Rewound => true,
        EntryKind::AttemptFailed
        | EntryKind::DelayStarted
        | EntryKind::SignalAwaited
        | EntryKind::Forked
        | EntryKind::Failed
        | EntryKind::Cancelled
        | EntryKind::Paused
        | EntryKind::Unpaused
        | EntryKind::SubStepCompleted
        | EntryKind::Retried => false,
    }
}

/// The row that holds the input of the node which a row took the root branch to: that row; but a route hands on its own input.
fn input_behind(rows: &[&JournalRow], mut last: usize) -> JournalRef {
    while rows.get(last).is_some_and(|row| row.kind == EntryKind::RouteTaken) {
        let Some(begin) = rows.iter().take(last).rposition(|before| moves(before.kind)) else { break };
        last = begin;
    }
    let row = rows.get(last).or_else(|| rows.first());
    row.map_or_else(JournalRef::instance_input, |row| JournalRef { branch: row.branch.clone(), revision: row.revision })
}

/// Why the root branch has nothing of a node.
fn not_on_the_root(journal: &[JournalRow], rows: &[&JournalRow], root: Option<&Head>, to: &str) -> RewindError {
    let inside = journal.iter().find(|row| row.branch.root_fork().is_some() && entered(row, to).is_some());
    let Some(inside) = inside else { return RewindError::NotReached { node: to.to_owned() } };
    let joins = rows.iter().filter(|row| matches!(row.kind, EntryKind::Forked | EntryKind::JoinCompleted)).map(|row| &row.node);
    let stands = root.filter(|head| head.phase == Phase::Joining).map(|head| &head.node);
    let around = |fork: &&Arc<str>| inside.node.strip_prefix(&***fork).is_some_and(|rest| rest.starts_with('/'));
    let fork = joins.chain(stands).find(around).map(|fork| Arc::from(without_iterations(fork)));
    RewindError::InsideFork { node: to.to_owned(), fork }
}
