//! Events: stored under a rising number, kept in order by name, used once.

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::branch::BranchId;
use sayiir_core::rules::{Rule, holds};

use super::data::{Data, Event, Instance};
use super::index::Slot;
use crate::store::{NewEvent, RunState, SendOutcome};
use crate::wakeups::News;

impl Data {
    pub(super) fn send_event(&mut self, event: NewEvent, news: &mut News) -> SendOutcome {
        let NewEvent { instance_id, name, payload, key } = event;
        if let Some(outcome) = self.event_refusal(&instance_id, key.as_ref()) {
            return outcome;
        }
        let at = self.now;
        let instance = self.instances.entry(Arc::clone(&instance_id)).or_insert_with(|| Instance { made_at: at, ..Instance::default() });
        let seq = if holds(Rule::EventMovesMail) {
            instance.mail += 1;
            instance.mail
        } else {
            let last = instance.events.values().filter_map(|events| events.last_key_value()).map(|(seq, _)| *seq).max();
            last.unwrap_or(0) + 1
        };
        instance.keys.extend(key);
        instance.events.entry(Arc::clone(&name)).or_default().insert(seq, Event { at, payload });
        if instance.life.as_ref().is_some_and(|life| life.state == RunState::Running) {
            news.due |= self.wake_waiters(&instance_id, &name);
            news.instance(&instance_id);
        }
        SendOutcome::Stored(seq)
    }

    /// A repeated send is told so even after the instance has ended: its first send was accepted.
    fn event_refusal(&self, instance_id: &str, key: Option<&Arc<str>>) -> Option<SendOutcome> {
        let instance = self.instances.get(instance_id)?;
        if key.is_some_and(|key| instance.keys.contains(key)) {
            return Some(SendOutcome::Duplicate);
        }
        let ended = instance.life.as_ref().filter(|life| !life.is_live());
        ended.map(|life| SendOutcome::Finished(self.status(life)))
    }

    /// Makes every free branch that awaits the event due. Leased ones learn by the mail count.
    fn wake_waiters(&mut self, instance_id: &str, name: &Arc<str>) -> bool {
        let life = self.instances.get(instance_id).and_then(|instance| instance.life.as_ref());
        let Some((number, run)) = life.and_then(|life| Some((life.run, self.runs.get_mut(&life.run)?))) else { return false };
        let first = (Arc::clone(name), BranchId::control());
        let waiting = run.awaiting.range(first..).take_while(|(awaited, _)| awaited == name);
        let mut woken = false;
        for (_, id) in waiting {
            let Some(branch) = run.branches.get_mut(id).filter(|branch| branch.slot.lease.is_none()) else { continue };
            let to = Slot { run_at: Some(self.now), ..branch.slot };
            self.index.replace(number, id, &mut branch.slot, to);
            woken = true;
        }
        woken
    }

    pub(super) fn read_event(&self, instance_id: &str, name: &str, seq: u64) -> Option<Bytes> {
        let event = self.instances.get(instance_id)?.events.get(name)?.get(&seq)?;
        Some(event.payload.clone())
    }

    pub(super) fn take_event(&mut self, instance_id: &str, name: &str) -> Option<Bytes> {
        let instance = self.instances.get_mut(instance_id)?;
        let seq = *instance.events.get(name)?.first_key_value()?.0;
        Some(instance.take_event(name, seq)?.payload)
    }
}
