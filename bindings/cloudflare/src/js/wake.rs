//! Driving within a time budget: one instance, or whatever is due.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, join_all, select};
use sayiir_core::branch::{BranchView, RunNumber};
use sayiir_core::error::error_chain;
use sayiir_driver::{Group, RunEnd, RunGuard, Session, WaitFor, WorkflowSet, drive_instance};
use sayiir_persistence::{ClaimRequest, ClaimScope};
use serde_json::{Value, json};

use super::engine::Shared;
use super::error::EdgeError;

/// The most branches of one run that are driven at a time: an isolate has few connections to anything.
const BRANCHES: usize = 64;
/// How long a branch waits to rise by one priority.
const AGEING: Duration = Duration::from_mins(5);
/// Behind the end of its budget a call waits for running tasks at least this long.
const SHORTEST_GRACE: Duration = Duration::from_millis(250);

impl Shared {
    /// Drives an instance. When the budget is over no step begins any more: what runs may end within a quarter of the budget
    /// more, is given back otherwise, and the instance is due at once for whoever looks next.
    #[allow(clippy::too_many_arguments, reason = "what a drive needs")]
    pub(super) async fn drive(
        &self,
        session: &Arc<Session>,
        workflows: &Arc<WorkflowSet>,
        id: &Arc<str>,
        run: RunNumber,
        root: Option<Box<BranchView>>,
        wait_for: WaitFor,
        budget: Option<Duration>,
    ) -> Result<RunEnd, EdgeError> {
        let group = Arc::new(Group::of_run(BRANCHES));
        let mut guard = RunGuard::new(session, &group, workflows, Some(run));
        let driving = drive_instance(session, &group, workflows, id, run, root, wait_for);
        let Some(budget) = budget else {
            let end = driving.await?;
            guard.ended();
            return Ok(end);
        };
        let ended = match select(pin!(driving), self.host.sleep(budget)).await {
            Either::Left((end, _)) => Some(end?),
            Either::Right(((), _driving)) => None,
        };
        if let Some(end) = ended {
            guard.ended();
            return Ok(end);
        }
        self.let_end(&group, budget).await;
        session.give_back(&group, workflows, run).await?;
        guard.ended();
        let record = session.instance(id).await?.ok_or_else(|| EdgeError::NotFound(id.to_string()))?;
        Ok(RunEnd { status: record.summary.status, output: record.output })
    }

    /// Lets running steps end, begins no other, and drops what takes too long.
    async fn let_end(&self, group: &Group, budget: Duration) {
        group.drain();
        let grace = self.host.sleep((budget / 4).max(SHORTEST_GRACE));
        select(pin!(idle(group)), grace).await;
        group.abort();
    }

    /// Drives what is due, signalled, or was left by an isolate that is gone: at most `limit` branches.
    pub(super) async fn resume_all(
        &self,
        workflows: &Arc<WorkflowSet>,
        limit: usize,
        budget: Option<Duration>,
    ) -> Result<Value, EdgeError> {
        let scope = ClaimScope::Definitions { hashes: workflows.hashes(), tags: Arc::from([]), ageing: AGEING };
        // Without a session, and a write: there is mostly nothing to do.
        if workflows.is_empty() || self.ask(|| self.store.next_due(scope.clone())).await?.is_none_or(|wait| !wait.is_zero()) {
            return Ok(json!({ "resumed": [], "failed": [] }));
        }
        let session = self.session().await?;
        let mut seen = Seen::default();
        let mut left = limit;
        let mut over = budget.map(|budget| self.host.sleep(budget));
        while left > 0 {
            let request = ClaimRequest { lease: session.lease(), ttl: self.options.ttl, limit: left, scope: scope.clone() };
            let branches = self.ask(|| self.store.claim(request.clone())).await?;
            if branches.is_empty() {
                break;
            }
            left -= branches.len();
            let groups = begin(&session, workflows, branches);
            let all = join_all(groups.iter().map(|driven| idle(&driven.group)));
            let in_time = match &mut over {
                None => {
                    all.await;
                    true
                }
                Some(over) => matches!(select(pin!(all), over).await, Either::Left(_)),
            };
            if !in_time {
                let budget = budget.unwrap_or_default();
                join_all(groups.iter().map(|driven| self.let_end(&driven.group, budget))).await;
            }
            for Driven { id, run, group } in groups {
                seen.see(id, group.take_fault().map(|fault| error_chain(&fault)));
                if !in_time {
                    session.give_back(&group, workflows, run).await?;
                }
            }
            if !in_time {
                break;
            }
        }
        Ok(seen.into_json())
    }
}

/// Begins to drive branches, each instance's in a group of its own, so that one's trouble is not another's.
fn begin(session: &Arc<Session>, workflows: &Arc<WorkflowSet>, branches: Vec<BranchView>) -> Vec<Driven> {
    let mut groups: Vec<Driven> = Vec::new();
    for branch in branches {
        let known = groups.iter().find(|driven| driven.run == branch.run).map(|driven| Arc::clone(&driven.group));
        let group = known.unwrap_or_else(|| {
            let group = Arc::new(Group::new(BRANCHES));
            groups.push(Driven { id: Arc::clone(&branch.instance_id), run: branch.run, group: Arc::clone(&group) });
            group
        });
        session.drive(&group, workflows, branch);
    }
    groups
}

/// An instance, and what drives its branches.
struct Driven {
    id: Arc<str>,
    run: RunNumber,
    group: Arc<Group>,
}

/// Which instances were driven, with the error of those that could not be.
#[derive(Default)]
struct Seen(Vec<(Arc<str>, Option<String>)>);

impl Seen {
    /// An instance may come again: it is told once, with its first error.
    fn see(&mut self, id: Arc<str>, error: Option<String>) {
        match self.0.iter_mut().find(|(seen, _)| *seen == id) {
            Some((_, known)) => *known = known.take().or(error),
            None => self.0.push((id, error)),
        }
    }

    fn into_json(self) -> Value {
        let (mut resumed, mut failed) = (Vec::new(), Vec::new());
        for (id, error) in self.0 {
            match error {
                None => resumed.push(Value::from(&*id)),
                Some(error) => failed.push(json!({ "instanceId": &*id, "error": error })),
            }
        }
        json!({ "resumed": resumed, "failed": failed })
    }
}

/// Resolves when a group drives nothing.
async fn idle(group: &Group) {
    loop {
        let ended = group.listen();
        if group.active() == 0 {
            return;
        }
        ended.await;
    }
}
