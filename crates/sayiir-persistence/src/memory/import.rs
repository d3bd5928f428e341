//! Import of a snapshot: the root branch is put where the snapshot says, in one transition of the whole instance.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::branch::{BranchId, Head, JournalRef, RunNumber};
use sayiir_core::control::SignalRequest;
use sayiir_core::journal::{EntryKind, JournalRow};

use super::data::{Branch, Data, bare_row};
use super::index::Slot;
use crate::store::{Import, ImportOutcome, Landing, RunState};
use crate::wakeups::News;

/// The root branch under its new revisions.
struct Root {
    run: RunNumber,
    revision: u64,
    head: Head,
    slot: Slot,
}

impl Data {
    pub(super) fn import(&mut self, mut import: Import, news: &mut News) -> ImportOutcome {
        if let Some(refusal) = self.import_refusal(&import) {
            return refusal;
        }
        let (instance_id, results) = (Arc::clone(&import.instance_id), std::mem::take(&mut import.results));
        if self.instances.get(&instance_id).is_none_or(|instance| instance.life.is_none()) {
            self.start(import.as_start(), news);
            if let Some(life) = self.instances.get_mut(&instance_id).and_then(|instance| instance.life.as_mut()) {
                life.nonce = None;
            }
        }
        let (lane, priority) = (self.index.lane(import.definition.hash, &import.placement), import.placement.priority);
        let slot = Slot { lane, priority, run_at: None, lease: None };
        let Some(mut root) = self.take_root(&instance_id, slot) else { return ImportOutcome::Imported };
        let input = self.import_results(&mut root, results);
        let landing = import.landing((&root.head.node, root.head.phase), &input);
        self.put(&instance_id, &root, landing);
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
    fn take_root(&mut self, instance_id: &str, slot: Slot) -> Option<Root> {
        let run = self.instances.get(instance_id)?.life.as_ref()?.run;
        let root = self.runs.get(&run)?.branches.get(&BranchId::root())?;
        let (revision, head) = (root.revision, root.head.clone());
        self.delete_heads(run);
        Some(Root { run, revision, head, slot })
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

    fn put(&mut self, instance_id: &str, root: &Root, landing: Landing<'_>) {
        let now = self.now;
        let Root { run, revision, head: _, slot } = *root;
        let revision = revision + 1;
        let Landing { node, same_as, output, error, head, awaits, due_at, state, request } = landing;
        let (output, error, awaits) = (output.cloned(), error.map(Cow::into_owned), awaits.cloned());
        let row = bare_row(run, BranchId::root(), revision, EntryKind::Imported, Arc::clone(node), now);
        if let Some(run) = self.runs.get_mut(&run) {
            run.journal.push(JournalRow { same_as, output, error: error.clone(), ..row });
        }
        self.settle_import(instance_id, state, request.cloned(), error, revision);
        if let Some(head) = head {
            let mut branch = Branch { revision, head, slot, due_at, awaits, pending: 0, crashes: 0, attempt_at: now, progress: None };
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
