//! How a mutant misreads transitions, and misanswers.

use sayiir_core::branch::{LeaseId, Placement};
use sayiir_core::transition::{EventGuard, Next, Transition};
use sayiir_persistence::{CommitOutcome, Refusal, Store, StoreError};

use super::{Bug, Mutant};

impl Mutant {
    /// What the store makes of a transition that it misreads.
    async fn misread(&self, lease: LeaseId, mut t: Transition) -> (LeaseId, Transition) {
        let record = self.record(&t.instance_id).await;
        let stored = record.iter().flat_map(|record| &record.branches).find(|branch| branch.branch == t.branch);
        let mut writer = lease;
        match self.bug {
            Bug::AnyRevision => t.revision = stored.map_or(t.revision, |branch| branch.revision),
            Bug::AnyRun => t.run = record.as_ref().map_or(t.run, |record| record.summary.run),
            Bug::AnyLease => writer = stored.and_then(|branch| branch.lease).unwrap_or(lease),
            Bug::NoMailGuard => {
                let views = self.inner.load(lease, t.run, vec![t.branch.clone()]).await.unwrap();
                if let (EventGuard::NoneSince { mail }, Some(view)) = (&mut t.guard, views.first()) {
                    *mail = view.mail;
                }
            }
            Bug::EventUnguarded => {
                if let EventGuard::Use { name, seq } = &t.guard
                    && self.inner.read_event(&t.instance_id, name, *seq).await.unwrap().is_none()
                {
                    t.guard = EventGuard::None;
                }
            }
            Bug::EventUsedFirst => {
                if let EventGuard::Use { name, .. } = &t.guard {
                    self.inner.take_event(&t.instance_id, name).await.unwrap();
                    t.guard = EventGuard::None;
                }
            }
            Bug::HeldIgnored => t.held = false,
            Bug::ErrorForgotten => t.entry.iter_mut().for_each(|entry| entry.error = None),
            Bug::WrappedForgotten => t.entry.iter_mut().for_each(|entry| {
                if let sayiir_core::transition::Output::Wrapped { own, handed_on: _ } = &entry.output {
                    entry.output = sayiir_core::transition::Output::Value(own.clone());
                }
            }),
            Bug::RowForgotten => {
                if let Next::Release { .. } = t.next {
                    t.entry = None;
                }
            }
            _ => {}
        }
        match &mut t.next {
            Next::Release { placement, wake, .. } => match self.bug {
                Bug::PlacementForgotten => *placement = Placement::default(),
                Bug::WakesAtOnce => *wake = sayiir_core::transition::Wake::Now,
                _ => {}
            },
            Next::Await { wake, .. } if self.has(Bug::DueForgotten) => *wake = None,
            Next::Fork { children, keep, .. } => match self.bug {
                Bug::NothingKept => *keep = 0,
                Bug::AllKept => *keep = children.len(),
                Bug::ChildrenReversed => children.reverse(),
                Bug::OneChildLost if children.len() > 1 => {
                    children.pop();
                    *keep = (*keep).min(children.len());
                }
                _ => {}
            },
            _ => {}
        }
        (writer, t)
    }

    async fn misanswer(&self, t: &Transition, answer: CommitOutcome) -> CommitOutcome {
        match (self.bug, answer) {
            (Bug::MovedAsLeaseLost, CommitOutcome::Refused(Refusal::Moved))
            | (Bug::EndedAsLeaseLost, CommitOutcome::Refused(Refusal::Ended)) => CommitOutcome::Refused(Refusal::LeaseLost),
            (Bug::NoIdempotence, CommitOutcome::AlreadyAccepted) | (Bug::LeaseLostAsMoved, CommitOutcome::Refused(Refusal::LeaseLost)) => {
                CommitOutcome::Refused(Refusal::Moved)
            }
            (Bug::ReplacedAsEnded, CommitOutcome::Refused(Refusal::Replaced)) => CommitOutcome::Refused(Refusal::Ended),
            (Bug::ParentForgotten, CommitOutcome::Accepted { at, readied_parent: _ }) => {
                CommitOutcome::Accepted { at, readied_parent: None }
            }
            (Bug::IdempotenceForAll, CommitOutcome::Refused(why)) => {
                let rows = self.inner.journal(t.run, None, usize::MAX).await.unwrap();
                let written = rows.iter().any(|row| row.branch == t.branch && row.revision == t.revision + 1);
                if written { CommitOutcome::AlreadyAccepted } else { CommitOutcome::Refused(why) }
            }
            (_, answer) => answer,
        }
    }

    pub(super) async fn mis_commit(&self, lease: LeaseId, transitions: Vec<Transition>) -> Result<Vec<CommitOutcome>, StoreError> {
        if self.has(Bug::BatchReversed) {
            let mut outcomes = self.inner.commit(lease, transitions.into_iter().rev().collect()).await?;
            outcomes.reverse();
            return Ok(outcomes);
        }
        if self.has(Bug::BatchOneByOne) {
            let mut outcomes = Vec::new();
            for each in transitions {
                outcomes.extend(self.inner.commit(lease, vec![each]).await?);
            }
            return Ok(outcomes);
        }
        let (mut misread, mut writer) = (Vec::new(), lease);
        for each in transitions.clone() {
            let (lease, each) = self.misread(lease, each).await;
            writer = lease;
            misread.push(each);
        }
        let mut answers = Vec::new();
        for (each, answer) in transitions.iter().zip(self.inner.commit(writer, misread).await?) {
            answers.push(self.misanswer(each, answer).await);
        }
        Ok(answers)
    }
}
