//! The beginning and the removal of a run.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::branch::{BranchId, LeaseId, RunNumber};
use sayiir_core::journal::{EntryKind, JournalRow};

use super::data::{Data, Instance, Life, Run, bare_row};
use super::index::Slot;
use crate::meet::Meeting;
use crate::store::{BranchView, Definition, RunState, StartOutcome, StartRun};
use crate::wakeups::News;

impl Data {
    pub(super) fn start(&mut self, request: StartRun, news: &mut News) -> StartOutcome {
        if let Some(outcome) = self.known(&request) {
            return outcome;
        }
        let StartRun { instance_id, definition, policy: _, input, first_node, placement, nonce, lease, trace, attributes } = request;
        let hash = definition.hash;
        let definition = self.keep_document(definition);
        let previous = self.end_previous(&instance_id, news);
        let run = self.new_run();
        let life = Life {
            run,
            previous,
            definition,
            nonce: Some(nonce),
            state: RunState::Running,
            request: None,
            error: None,
            output: None,
            control: 0,
            created_at: self.now,
            updated_at: self.now,
            first_node: Arc::clone(&first_node),
            placement: placement.clone(),
            attributes,
        };
        self.instances.entry(Arc::clone(&instance_id)).or_default().life = Some(life);
        let started = bare_row(run, BranchId::root(), 1, EntryKind::Started, Arc::clone(&first_node), self.now);
        let mut of_run = Run::new(Arc::clone(&instance_id), hash, trace);
        of_run.journal.push(JournalRow { lease: lease.map(|(lease, _)| lease), output: Some(input.clone()), ..started });
        self.runs.insert(run, of_run);
        let mut root = Self::root_at_start(self.index.lane(hash, &placement), &placement, first_node, self.now);
        if let Some((lease, ttl)) = lease {
            self.remember_ttl(lease, ttl);
            root.slot = Slot { run_at: Some(self.now + ttl), lease: Some(lease), ..root.slot };
        }
        self.insert_head(run, BranchId::root(), root);
        news.due |= lease.is_none();
        news.instance(&instance_id);
        let root = lease.and_then(|_| self.view(run, &BranchId::root(), input)).map(Box::new);
        StartOutcome::Fresh { run, created_at: self.now, root }
    }

    /// Keeps the document, if it is the first of its definition, and takes it out.
    fn keep_document(&mut self, definition: Definition) -> Definition {
        let Definition { hash, name, version, document } = definition;
        if let Some(document) = document {
            self.documents.entry(hash).or_insert(document);
        }
        Definition { hash, name, version, document: None }
    }

    /// What a start meets under an id that already has a run; `None` if it is to make one.
    fn known(&self, request: &StartRun) -> Option<StartOutcome> {
        let life = self.instances.get(&request.instance_id)?.life.as_ref()?;
        match request.meets(life.definition.hash, life.nonce == Some(request.nonce)) {
            Meeting::Own => {
                let root = request.lease.and_then(|(lease, _)| self.root_still_at_start(lease, life.run));
                Some(StartOutcome::Fresh { run: life.run, created_at: life.created_at, root: root.map(Box::new) })
            }
            Meeting::Existing => Some(StartOutcome::Existing { status: self.status(life), output: self.output(life) }),
            Meeting::Refused(outcome) => Some(outcome),
            Meeting::ToReplace => None,
        }
    }

    fn root_still_at_start(&self, lease: LeaseId, run: RunNumber) -> Option<BranchView> {
        let root = BranchId::root();
        let branch = self.runs.get(&run)?.branches.get(&root)?;
        let held = branch.slot.lease == Some(lease) && branch.revision == 1;
        held.then(|| self.view(run, &root, self.input_of(run, &root).ok()?)).flatten()
    }

    /// The output of a completed run.
    pub(super) fn output(&self, life: &Life) -> Option<Bytes> {
        self.runs.get(&life.run)?.journal.value(life.output.as_ref()?)
    }

    /// Removes the run that is to be replaced, with its events and requests. Its journal stays until the
    /// run after it is replaced in turn, so that a late writer learns what became of its write.
    fn end_previous(&mut self, instance_id: &str, news: &mut News) -> Option<RunNumber> {
        let instance = self.instances.get_mut(instance_id)?;
        let Life { run, previous, .. } = instance.life.take()?;
        let Instance { made_at: _, mail: _, events, keys, cancel_request, pause_request, life: _ } = instance;
        events.clear();
        keys.clear();
        *cancel_request = None;
        *pause_request = None;
        self.delete_heads(run);
        if let Some(oldest) = previous {
            self.runs.remove(&oldest);
        }
        news.control = true;
        Some(run)
    }

    pub(super) fn delete(&mut self, instance_id: &str, news: &mut News) -> bool {
        let Some((id, instance)) = self.instances.remove_entry(instance_id) else { return false };
        let Some(Life { run, previous, .. }) = instance.life else { return false };
        self.delete_heads(run);
        self.runs.remove(&run);
        if let Some(previous) = previous {
            self.runs.remove(&previous);
        }
        news.control = true;
        news.instance(&id);
        true
    }
}
