//! Import of a snapshot: the root branch is put where the snapshot says, in one transition of the whole instance.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::branch::{BranchId, Head, JournalRef, Phase, RunNumber};
use sayiir_core::control::SignalRequest;
use sayiir_core::journal::{EntryKind, JournalRow};

use super::data::{Branch, Data, bare_row};
use super::index::Slot;
use crate::store::{Definition, Import, ImportOutcome, ImportState, RunState};
use crate::wakeups::News;

/// The root branch under its new revisions.
struct Root {
    run: RunNumber,
    revision: u64,
    head: Head,
    lane: Slot,
}

impl Data {
    pub(super) fn import(&mut self, import: Import, news: &mut News) -> ImportOutcome {
        if let Some(refusal) = self.import_refusal(&import) {
            return refusal;
        }
        let new = import.as_start();
        let Import { instance_id, definition: Definition { hash, .. }, input: _, results, state, first_node: _, placement, expected: _ } =
            import;
        if self.instances.get(&instance_id).is_none_or(|instance| instance.life.is_none()) {
            self.start(new, news);
            if let Some(life) = self.instances.get_mut(&instance_id).and_then(|instance| instance.life.as_mut()) {
                life.nonce = None;
            }
        }
        let lane = Slot { lane: self.index.lane(hash, &placement), priority: placement.priority, run_at: None, lease: None };
        let Some(mut root) = self.take_root(&instance_id, lane) else { return ImportOutcome::Imported };
        let input = self.import_results(&mut root, results);
        self.put(&instance_id, root, &input, state);
        news.due = true;
        news.control = true;
        news.instance(&instance_id);
        ImportOutcome::Imported
    }

    fn import_refusal(&self, import: &Import) -> Option<ImportOutcome> {
        let known = self.instances.get(&import.instance_id).and_then(|instance| instance.life.as_ref());
        let Some(life) = known else { return import.expected.map(|_| ImportOutcome::Moved { revision: 0 }) };
        if life.definition.hash != import.definition.hash {
            return Some(ImportOutcome::DefinitionMismatch { found: life.definition.hash });
        }
        if !life.is_live() {
            return Some(ImportOutcome::Finished(self.status(life)));
        }
        let branches = self.runs.get(&life.run).map(|run| &run.branches);
        let held = |branch: &Branch| branch.slot.lease.is_some() && branch.slot.run_at.is_none_or(|end| end > self.now);
        let branches = branches?;
        let root = branches.get(&BranchId::root()).map(|root| (root.revision, &root.head));
        import.refusal(life.run, branches.values().any(|branch| held(branch)), root)
    }

    /// Takes all heads away and says where the root stood.
    fn take_root(&mut self, instance_id: &str, lane: Slot) -> Option<Root> {
        let run = self.instances.get(instance_id)?.life.as_ref()?.run;
        let root = self.runs.get(&run)?.branches.get(&BranchId::root())?;
        let (revision, head) = (root.revision, root.head.clone());
        self.delete_heads(run);
        Some(Root { run, revision, head, lane })
    }

    /// Journals the results that the journal lacks; the row of the last result is the new head's input.
    fn import_results(&mut self, root: &mut Root, results: Vec<(Arc<str>, Bytes)>) -> JournalRef {
        let mut input = JournalRef::instance_input();
        let now = self.now;
        let Some(run) = self.runs.get_mut(&root.run) else { return input };
        for (node, output) in results {
            input = if let Some(row) = run.journal.output_of(&node) {
                JournalRef { branch: row.branch.clone(), revision: row.revision }
            } else {
                root.revision += 1;
                let row = bare_row(root.run, BranchId::root(), root.revision, EntryKind::TaskCompleted, node, now);
                run.journal.push(JournalRow { output: Some(output), attempt: 1, ..row });
                JournalRef { branch: BranchId::root(), revision: root.revision }
            };
        }
        input
    }

    fn put(&mut self, instance_id: &str, root: Root, input: &JournalRef, state: ImportState) {
        let now = self.now;
        let Root { run, revision, head: old, lane } = root;
        let revision = revision + 1;
        let row = bare_row(run, BranchId::root(), revision, EntryKind::Imported, Arc::clone(&old.node), now);
        let at = |node, phase| Head { node, phase, attempt: 0, input: input.clone(), fork_revision: 0 };
        let (row, run_state, request, branch) = match state {
            ImportState::Running { node, phase, awaits, due_at, paused } => {
                let mut head = at(Arc::clone(&node), phase);
                if phase == Phase::Start {
                    head.input = JournalRef::instance_input();
                }
                let awaits = awaits.filter(|_| phase == Phase::Awaiting);
                let run_state = if paused.is_some() { RunState::Paused } else { RunState::Running };
                let row = JournalRow { node, same_as: Some(head.input.clone()), ..row };
                (
                    row,
                    run_state,
                    paused,
                    Some(Branch { revision, head, slot: lane, due_at, awaits, pending: 0, crashes: 0, attempt_at: now, progress: None }),
                )
            }
            ImportState::Completed(output) => (JournalRow { output: Some(output), ..row }, RunState::Completed, None, None),
            ImportState::Failed(error) => {
                let head = at(Arc::clone(&old.node), if old.phase == Phase::Start { Phase::Start } else { Phase::At });
                let kept = Branch {
                    revision,
                    head,
                    slot: lane,
                    due_at: None,
                    awaits: None,
                    pending: 0,
                    crashes: 0,
                    attempt_at: now,
                    progress: None,
                };
                (JournalRow { error: Some(error), ..row }, RunState::Failed, None, Some(kept))
            }
            ImportState::Cancelled(request) => (JournalRow { error: request.in_words(), ..row }, RunState::Cancelled, Some(request), None),
        };
        let error = row.error.clone();
        if let Some(run) = self.runs.get_mut(&run) {
            run.journal.push(row);
        }
        self.settle_import(instance_id, run_state, request, error, revision);
        if let Some(mut branch) = branch {
            let instance = self.instances.get(instance_id).filter(|instance| instance.live(run).is_some());
            branch.slot.run_at = instance.and_then(|instance| instance.free_run_at(&branch, now));
            self.insert_head(run, BranchId::root(), branch);
        }
    }

    fn settle_import(&mut self, instance_id: &str, state: RunState, request: Option<SignalRequest>, error: Option<String>, revision: u64) {
        let now = self.now;
        let request = request.map(|request| request.stamped(now.into()));
        let Some(instance) = self.instances.get_mut(instance_id) else { return };
        match state {
            RunState::Paused => instance.pause_request.clone_from(&request),
            RunState::Cancelled => instance.cancel_request.clone_from(&request),
            RunState::Running if instance.is_paused() => instance.pause_request = None,
            RunState::Running | RunState::Completed | RunState::Failed => {}
        }
        if let Some(life) = &mut instance.life {
            life.enter(state, now);
            life.request = request;
            life.error = error.filter(|_| state == RunState::Failed);
            life.output = (state == RunState::Completed).then(|| JournalRef { branch: BranchId::root(), revision });
        }
    }
}
