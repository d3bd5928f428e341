//! Claims and leases that a mutant gets wrong.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sayiir_core::branch::{BranchId, LeaseId, RunNumber};
use sayiir_persistence::{BranchView, ClaimRequest, ClaimScope, InstanceFilter, Store, StoreError};

use super::{Bug, Mutant};

impl Mutant {
    pub(super) async fn mis_claim(&self, mut request: ClaimRequest) -> Result<Vec<BranchView>, StoreError> {
        match (self.bug, &mut request.scope) {
            (Bug::LimitIgnored, _) => request.limit = 1000,
            (Bug::LeaseTooLong, _) => request.ttl *= 2,
            (Bug::TagsIgnored, ClaimScope::Definitions { tags, .. }) => *tags = Arc::from([]),
            (Bug::PrioritiesIgnored, ClaimScope::Definitions { ageing, .. }) => *ageing = Duration::ZERO,
            (Bug::AgeingIgnored, ClaimScope::Definitions { ageing, .. }) => *ageing = Duration::from_hours(1000),
            (Bug::InstanceScopeTooWide, ClaimScope::Instance(_)) => {
                let hashes = Arc::from([sayiir_core::DefinitionHash::from("workflow")]);
                request.scope = ClaimScope::Definitions { hashes, tags: Arc::from([]), ageing: Duration::from_mins(5) };
            }
            _ => {}
        }
        let mut views = self.inner.claim(request).await?;
        for view in &mut views {
            match self.bug {
                Bug::ClaimKeepsRevision => view.revision -= 1,
                Bug::CrashesForgotten => view.crashes = 0,
                _ => {}
            }
        }
        Ok(views)
    }

    pub(super) async fn mis_next_due(&self, scope: ClaimScope) -> Result<Option<Duration>, StoreError> {
        let next = self.inner.next_due(scope).await?;
        Ok(match self.bug {
            Bug::NextDueLate => next.map(|next| next + Duration::from_secs(1)),
            Bug::NextDueEarly => next.map(|_| Duration::ZERO),
            _ => next,
        })
    }

    pub(super) async fn mis_load(&self, lease: LeaseId, run: RunNumber, branches: Vec<BranchId>) -> Result<Vec<BranchView>, StoreError> {
        match self.bug {
            Bug::LoadNothing if branches.is_empty() => return Ok(Vec::new()),
            Bug::LoadForAll => {
                let mut views = Vec::new();
                for lease in (1..20).map(LeaseId) {
                    views.extend(self.inner.load(lease, run, branches.clone()).await?);
                }
                return Ok(views);
            }
            _ => {}
        }
        self.inner.load(lease, run, branches).await
    }

    pub(super) async fn mis_renew(
        &self,
        lease: LeaseId,
        ttl: Duration,
        branches: Vec<(RunNumber, BranchId)>,
    ) -> Result<Vec<Option<u64>>, StoreError> {
        let ttl = if self.has(Bug::RenewalForgotten) { Duration::ZERO } else { ttl };
        let mut answers = self.inner.renew(lease, ttl, branches).await?;
        for answer in &mut answers {
            match self.bug {
                Bug::RenewalMoves => *answer = answer.map(|revision| revision + 1),
                Bug::RenewalTellsAll => *answer = Some(answer.unwrap_or(1)),
                _ => {}
            }
        }
        Ok(answers)
    }

    pub(super) async fn mis_leased(&self, lease: LeaseId) -> Result<Vec<(RunNumber, BranchId, u64)>, StoreError> {
        let mut held = self.inner.leased(lease).await?;
        match self.bug {
            Bug::LeasedForgotten => held.clear(),
            Bug::LeasedOfOneRun => held.retain({
                let first = held.first().map(|(run, ..)| *run);
                move |(run, ..)| Some(*run) == first
            }),
            Bug::LeasedUntilItLapses => {
                let mut lapsed = BTreeSet::new();
                for summary in self.inner.list(InstanceFilter::default()).await? {
                    if let Some(record) = self.record(&summary.instance_id).await {
                        let ended = record.branches.into_iter().filter(|branch| branch.run_at.is_some_and(|at| at <= record.now));
                        lapsed.extend(ended.map(|branch| (summary.run, branch.branch)));
                    }
                }
                held.retain(|(run, branch, _)| !lapsed.contains(&(*run, branch.clone())));
            }
            _ => {}
        }
        Ok(held)
    }
}
