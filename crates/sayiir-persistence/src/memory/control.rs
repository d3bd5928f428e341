//! Control: cancel, pause, unpause and retry, applied at once or recorded for a worker to apply.
//!
//! Each one moves the revision of every live branch, leased ones too, so that no owner's write made
//! without knowing of it is accepted.

use std::sync::Arc;

use sayiir_core::branch::{BranchId, Phase, RunNumber};
use sayiir_core::control::{SignalKind, SignalRequest};
use sayiir_core::journal::JournalRow;
use sayiir_core::rules::{Rule, holds};

use super::data::{Data, Life, bare_row};
use super::index::Slot;
use crate::store::{Admission, ControlAction, ControlCommand, ControlOutcome, RunState};
use crate::wakeups::News;

impl Data {
    pub(super) fn control(&mut self, command: ControlCommand, news: &mut News) -> ControlOutcome {
        let ControlCommand { instance_id, action, request } = command;
        if let Some(outcome) = self.control_refusal(&instance_id, action) {
            return outcome;
        }
        let (now, request) = (self.now, request.stamped(self.now.into()));
        let Some(instance) = self.instances.get_mut(&instance_id) else { return ControlOutcome::NotFound };
        let Some(life) = &mut instance.life else { return ControlOutcome::NotFound };
        let state = match action {
            ControlAction::Cancel => RunState::Cancelled,
            ControlAction::Pause => RunState::Paused,
            ControlAction::Unpause | ControlAction::Retry => RunState::Running,
        };
        life.enter(state, now);
        life.control += 1;
        let (run, revision) = (life.run, life.control);
        let row = bare_row(run, BranchId::control(), revision, action.entry_kind(), Arc::from(""), now);
        let row = JournalRow { error: request.in_words(), ..row };
        match action {
            ControlAction::Cancel => {
                life.request = Some(request.clone());
                instance.cancel_request = Some(request);
                self.cancel_heads(run);
            }
            ControlAction::Pause => {
                life.request = Some(request.clone());
                instance.pause_request = Some(request);
                self.move_all(run, Rule::PauseMoves);
            }
            ControlAction::Unpause => {
                life.request = None;
                instance.pause_request = None;
                self.move_all(run, Rule::UnpauseMoves);
            }
            ControlAction::Retry => {
                (life.request, life.error) = (None, None);
                (instance.cancel_request, instance.pause_request) = (None, None);
                self.move_all(run, Rule::UnpauseMoves);
            }
        }
        if let Some(run) = self.runs.get_mut(&run) {
            run.journal.push(row);
        }
        news.due = true;
        news.control = true;
        news.instance(&instance_id);
        ControlOutcome::Applied
    }

    #[cfg(not(feature = "rule-switches"))]
    fn cancel_heads(&mut self, run: RunNumber) {
        self.delete_heads(run);
    }

    /// Ends all branches; without the rule, those that were handed in.
    #[cfg(feature = "rule-switches")]
    fn cancel_heads(&mut self, number: RunNumber) {
        let Some(read) = sayiir_core::rules::take_branches() else { return self.delete_heads(number) };
        let Some(run) = self.runs.get_mut(&number) else { return };
        for id in read {
            if let Some(branch) = run.branches.remove(&id) {
                self.index.remove(number, &id, branch.slot);
            }
        }
    }

    fn control_refusal(&self, instance_id: &str, action: ControlAction) -> Option<ControlOutcome> {
        let life = self.instances.get(instance_id).and_then(|instance| instance.life.as_ref());
        let Some(life) = life else { return Some(ControlOutcome::NotFound) };
        match action.admission(life.state) {
            Admission::ToBeDone => None,
            Admission::AlreadySo => Some(ControlOutcome::AlreadySo),
            Admission::Finished => Some(ControlOutcome::Finished(self.status(life))),
        }
    }

    /// Moves every live branch's revision, and derives again when the free ones are due. A failed run's stay held.
    fn move_all(&mut self, number: RunNumber, moves: Rule) {
        let Some(run) = self.runs.get_mut(&number) else { return };
        let Some(instance) = self.instances.get(&run.instance_id).filter(|instance| instance.live(number).is_some()) else { return };
        for (id, branch) in &mut run.branches {
            branch.revision += u64::from(holds(moves) || branch.slot.lease.is_none());
            if branch.slot.lease.is_none() {
                if moves == Rule::UnpauseMoves && branch.head.phase == Phase::Delaying && !holds(Rule::UnpauseDerives) {
                    continue;
                }
                let to = Slot { run_at: instance.free_run_at(branch, self.now), ..branch.slot };
                self.index.replace(number, id, &mut branch.slot, to);
            }
        }
    }

    pub(super) fn request_control(
        &mut self,
        instance_id: &str,
        kind: SignalKind,
        request: SignalRequest,
        news: &mut News,
    ) -> ControlOutcome {
        let action = ControlAction::from(kind);
        if let Some(outcome) = self.control_refusal(instance_id, action) {
            return outcome;
        }
        let request = Some(request.stamped(self.now.into()));
        let Some(instance) = self.instances.get_mut(instance_id) else { return ControlOutcome::NotFound };
        match kind {
            SignalKind::Cancel => instance.cancel_request = request,
            SignalKind::Pause => instance.pause_request = request,
        }
        if let Some(Life { run, .. }) = instance.life {
            self.move_all(run, Rule::PauseMoves);
        }
        news.due = true;
        news.control = true;
        ControlOutcome::Applied
    }

    pub(super) fn apply_requested(&mut self, instance_id: &str, kind: SignalKind, news: &mut News) -> bool {
        let waits = self.instances.get(instance_id).is_some_and(|instance| instance.requested() == Some(kind));
        let Some(request) = self.requested_control(instance_id, kind).filter(|_| waits) else { return false };
        let command = ControlCommand { instance_id: Arc::from(instance_id), action: kind.into(), request: request.anew() };
        self.control(command, news) == ControlOutcome::Applied
    }

    pub(super) fn requested_control(&self, instance_id: &str, kind: SignalKind) -> Option<SignalRequest> {
        let instance = self.instances.get(instance_id)?;
        match kind {
            SignalKind::Cancel => instance.cancel_request.clone(),
            SignalKind::Pause => instance.pause_request.clone(),
        }
    }

    pub(super) fn clear_control(&mut self, instance_id: &str, kind: SignalKind, news: &mut News) {
        let Some(instance) = self.instances.get_mut(instance_id) else { return };
        let before = instance.requested();
        match kind {
            SignalKind::Cancel => instance.cancel_request = None,
            SignalKind::Pause => instance.pause_request = None,
        }
        let changed = instance.requested() != before;
        if let Some(Life { run, .. }) = instance.life
            && changed
        {
            self.move_all(run, Rule::UnpauseMoves);
            news.due = true;
            news.control = true;
        }
    }
}
