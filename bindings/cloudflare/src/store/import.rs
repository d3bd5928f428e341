//! Import of a snapshot: the root branch is put where the snapshot says, in one transaction whose guard looks again at
//! everything that was read for it.

use std::sync::Arc;

use sayiir_core::branch::{Head, JournalRef, Phase};
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::journal::EntryKind;
use sayiir_core::time::Timestamp;
use sayiir_persistence::rows::Stage;
use sayiir_persistence::{Definition, Import, ImportOutcome, Landing, RunState};

use super::control::{MOVE_ALL, record};
use super::fault::{Fault, Outcome};
use super::read::Found;
use super::rows::tags_text;
use super::start::{Instead, begin, contended};
use super::{SqlStore, TRIES};
use crate::sql::{Statement, Value, statement};

/// Where the root branch stands before the import.
struct Root {
    revision: u64,
    node: Arc<str>,
    phase: Phase,
}

impl SqlStore {
    pub(super) async fn import_snapshot(self, import: Import) -> Outcome<ImportOutcome> {
        for _ in 0..TRIES {
            let now = self.now();
            let statements = match self.find(&import.instance_id).await? {
                Some(found) => match refusal(&found, &import, now) {
                    Ok(root) => self.over(&found, root, &import, now).await?,
                    Err(outcome) => return Ok(outcome),
                },
                None if import.expected.is_some() => return Ok(ImportOutcome::Moved { revision: 0 }),
                None => {
                    let root = Root { revision: 1, node: Arc::clone(&import.first_node), phase: Phase::Start };
                    let mut statements = begin(&import.as_start(), Instead::OfNothing, None, now);
                    statements.extend(Put { import: &import, root, now }.statements(|_| None));
                    statements
                }
            };
            match self.batch(statements).await {
                Ok(_) => {
                    self.tell_control(&import.instance_id);
                    return Ok(ImportOutcome::Imported);
                }
                Err(Fault::Guard(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(contended(&import.instance_id))
    }

    /// The import over a run that is there.
    async fn over(&self, found: &Found, root: Root, import: &Import, now: Timestamp) -> Outcome<Vec<Statement>> {
        let run = found.instance.run;
        let nodes: Vec<_> = import.results.iter().map(|(node, _)| node.to_string()).collect();
        let known = self.results_of(run, &nodes).await?;
        let revisions: u64 = found.branches.iter().map(|branch| branch.revision).sum();
        let guard = "INSERT INTO sayiir_guard SELECT 'moved' WHERE NOT EXISTS (SELECT 1 FROM sayiir_instance WHERE run = ?1 \
                     AND instance_id = ?2 AND status = 1) OR EXISTS (SELECT 1 FROM sayiir_branch WHERE run = ?1 AND lease IS NOT NULL \
                     AND (run_at IS NULL OR run_at > ?3)) \
                     OR ?4 IS NOT (SELECT sum(revision) FROM sayiir_branch WHERE run = ?1) \
                     OR ?5 IS NOT (SELECT count(*) FROM sayiir_branch WHERE run = ?1)";
        let mut statements = vec![statement!(guard, run, &import.instance_id, now, revisions, found.branches.len())];
        statements.extend(Put { import, root, now }.statements(|node| known.get(node).cloned()));
        Ok(statements)
    }
}

/// Why the import is refused; else where the root stands.
fn refusal(found: &Found, import: &Import, now: Timestamp) -> Result<Root, ImportOutcome> {
    let instance = &found.instance;
    if instance.definition.hash != import.definition.hash {
        return Err(ImportOutcome::DefinitionMismatch { found: instance.definition.hash });
    }
    if !instance.state.is_live() {
        return Err(ImportOutcome::Finished(found.status()));
    }
    let is_held = |lease: bool, until: Option<Timestamp>| lease && until.is_none_or(|until| until > now);
    let held = found.branches.iter().any(|branch| is_held(branch.lease.is_some(), branch.run_at));
    let root = found.branches.iter().find(|branch| branch.branch.is_root());
    if let Some(refusal) = import.refusal(instance.run, held, root.map(|root| (root.revision, &root.head))) {
        return Err(refusal);
    }
    let Some(root) = root else { return Err(ImportOutcome::Moved { revision: 0 }) };
    Ok(Root { revision: root.revision, node: Arc::clone(&root.head.node), phase: root.head.phase })
}

/// An import on its way into the tables.
struct Put<'a> {
    import: &'a Import,
    root: Root,
    now: Timestamp,
}

impl Put<'_> {
    /// A row of the root's journal: behind every row of the branches that it replaces.
    #[allow(clippy::too_many_arguments, reason = "the columns of a row")]
    fn row(
        &self,
        revision: u64,
        kind: EntryKind,
        attempt: u32,
        node: &Arc<str>,
        same: Option<&JournalRef>,
        output: Value,
        error: Option<&str>,
    ) -> Statement {
        let sql = "INSERT INTO sayiir_journal (run, branch, revision, at, kind, attempt, node, same_branch, same_revision, output, error) \
                   SELECT i.run, '0', ?2, max(?3, coalesce((SELECT max(moved_at) + 1 FROM sayiir_branch b WHERE b.run = i.run), ?3)), \
                   ?4, ?5, ?6, ?7, ?8, ?9, ?10 FROM sayiir_instance i WHERE i.instance_id = ?1";
        let (branch, of) = (same.map(|row| &row.branch), same.map(|row| row.revision));
        statement!(sql, &self.import.instance_id, revision, self.now, kind, attempt, node, branch, of, output, error)
    }

    fn statements(&self, known: impl Fn(&str) -> Option<JournalRef>) -> Vec<Statement> {
        let Import { instance_id, definition, input: _, results, state: _, first_node: _, placement, expected: _ } = self.import;
        let mut statements = Vec::new();
        let (mut revision, mut input) = (self.root.revision, JournalRef::instance_input());
        let mut written: Vec<(&str, JournalRef)> = Vec::new();
        for (node, output) in results {
            let found = written.iter().find(|(name, _)| *name == &**node).map(|(_, row)| row.clone()).or_else(|| known(node));
            input = found.unwrap_or_else(|| {
                revision += 1;
                statements.push(self.row(revision, EntryKind::TaskCompleted, 1, node, None, Value::payload(output), None));
                JournalRef { branch: sayiir_core::branch::BranchId::root(), revision }
            });
            written.push((node, input.clone()));
        }
        revision += 1;
        let Landing { node, same_as, output, error, head, awaits, due_at, state, request } =
            self.import.landing((&self.root.node, self.root.phase), &input);
        let output = output.map_or(Value::Null, Value::payload);
        statements.push(self.row(revision, EntryKind::Imported, 0, node, same_as.as_ref(), output, error.as_deref()));
        statements.extend(lanes(definition, &tags_text(&placement.tags)));
        let sql = "DELETE FROM sayiir_branch WHERE run = (SELECT run FROM sayiir_instance WHERE instance_id = ?1)";
        statements.push(statement!(sql, instance_id));
        if let Some(head) = &head {
            // Of a run that goes on one revision less: deriving when it is due moves it on.
            let revision = if state.is_live() { revision - 1 } else { revision };
            statements.push(self.root_at(revision, head, awaits, due_at));
        }
        let request = request.map(|request| request.clone().stamped(self.now.into()));
        match state {
            RunState::Running | RunState::Paused => statements.extend(self.hold(request.as_ref())),
            RunState::Completed | RunState::Failed => statements.push(self.end(Stage::code(state), revision)),
            RunState::Cancelled => {
                statements.push(record(instance_id, SignalKind::Cancel, request.as_ref()));
                let sql = "UPDATE sayiir_instance SET status = 4, paused = 0, updated_at = ?2, request_reason = cancel_reason, \
                           request_by = cancel_by, request_at = cancel_at WHERE instance_id = ?1";
                statements.push(statement!(sql, instance_id, self.now));
            }
        }
        statements
    }

    fn root_at(&self, revision: u64, head: &Head, awaits: Option<&Arc<str>>, due_at: Option<Timestamp>) -> Statement {
        let Head { node, phase, attempt: _, input, fork_revision: _ } = head;
        let Definition { hash, name, version, document: _ } = &self.import.definition;
        let placement = &self.import.placement;
        let sql = "INSERT INTO sayiir_branch (run, branch, revision, node, phase, attempt, input_branch, input_revision, fork_revision, \
                   awaits, due_at, priority, moved_at, attempt_at, lane) SELECT i.run, '0', ?2, ?3, ?4, 0, ?5, ?6, 0, ?7, ?8, ?9, \
                   (SELECT max(at) FROM sayiir_journal j WHERE j.run = i.run AND j.branch = '0'), ?10, \
                   (SELECT l.id FROM sayiir_lane l JOIN sayiir_definition d ON d.id = l.definition WHERE l.tags = ?11 AND d.hash = ?12 \
                   AND d.name = ?13 AND d.version = ?14) FROM sayiir_instance i WHERE i.instance_id = ?1";
        let (id, tags, priority) = (&self.import.instance_id, tags_text(&placement.tags), placement.priority);
        statement!(
            sql,
            id,
            revision,
            node,
            *phase,
            &input.branch,
            input.revision,
            awaits,
            due_at,
            priority,
            self.now,
            tags,
            hash.to_hex(),
            name,
            version
        )
    }

    /// Puts a going run into its state, and derives when its root is due.
    fn hold(&self, request: Option<&SignalRequest>) -> Vec<Statement> {
        let id = &self.import.instance_id;
        // A pause that was in force is over if the snapshot does not say so.
        let pause = match request {
            Some(request) => record(id, SignalKind::Pause, Some(request)),
            None => statement!(
                "UPDATE sayiir_instance SET pause_reason = NULL, pause_by = NULL, pause_at = NULL WHERE instance_id = ?1 AND paused = 1",
                id
            ),
        };
        let enter = match request {
            Some(_) => {
                "UPDATE sayiir_instance SET status = 1, paused = 1, updated_at = ?2, request_reason = pause_reason, \
                 request_by = pause_by, request_at = pause_at WHERE instance_id = ?1"
            }
            None => {
                "UPDATE sayiir_instance SET status = 1, paused = 0, updated_at = ?2, request_reason = NULL, request_by = NULL, \
                 request_at = NULL WHERE instance_id = ?1"
            }
        };
        vec![pause, statement!(enter, id, self.now), statement!(MOVE_ALL, id, self.now)]
    }

    fn end(&self, status: u8, revision: u64) -> Statement {
        let sql = "UPDATE sayiir_instance SET status = ?2, paused = 0, updated_at = ?3, request_reason = NULL, request_by = NULL, \
                   request_at = NULL, end_branch = '0', end_revision = ?4 WHERE instance_id = ?1";
        statement!(sql, &self.import.instance_id, i64::from(status), self.now, revision)
    }
}

/// Makes the definition and the lane, where they are not there.
fn lanes(definition: &Definition, tags: &str) -> [Statement; 2] {
    let Definition { hash, name, version, document } = definition;
    [
        statement!(
            "INSERT OR IGNORE INTO sayiir_definition (hash, name, version, document) VALUES (?1, ?2, ?3, ?4)",
            hash.to_hex(),
            name,
            version,
            document.as_ref()
        ),
        statement!(
            "INSERT OR IGNORE INTO sayiir_lane (definition, tags) SELECT id, ?4 FROM sayiir_definition \
             WHERE hash = ?1 AND name = ?2 AND version = ?3",
            hash.to_hex(),
            name,
            version,
            tags
        ),
    ]
}
