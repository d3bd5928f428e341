//! What a running task asks of its driver: to store a part of itself, to keep its progress, to make its instance found.
//!
//! Invariant: the branch is here while its task runs. Every sub-step moves its revision, one after the other, and the
//! drive goes on with the branch as the last of them left it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use async_lock::Mutex;
use bytes::Bytes;
use sayiir_core::attribute::SearchAttributes;
use sayiir_core::branch::{BranchId, BranchView, RunNumber};
use sayiir_core::context::{AttemptError, AttemptServices};
use sayiir_core::future::BoxFuture;
use sayiir_core::plan::sub_step_path;
use sayiir_core::time::Timestamp;
use sayiir_core::transition::Transition;
use sayiir_core::workflow::RunnableWorkflow;
use sayiir_engine::{Decision, Definition, Input, decide};
use sayiir_persistence::{CommitOutcome, Refusal, StoreError, StoreFuture};

use crate::ask::ask;
use crate::branch::is_same_attempt;
use crate::held::Drive;
use crate::session::Session;

/// An attempt at a task, from its begin to its end.
pub(crate) struct RunningAttempt {
    /// Weak: a context that a program keeps must not keep its worker.
    session: Weak<Session>,
    workflow: Arc<dyn RunnableWorkflow>,
    node: Arc<str>,
    /// What the session's keeper knows of it.
    drive: Arc<Drive>,
    state: Mutex<State>,
    over: AtomicBool,
}

struct State {
    /// `None` once the attempt has ended, or its branch is lost: what the task makes of that is then no failure of its own, for
    /// this very session may have taken the branch again meanwhile.
    branch: Option<Box<BranchView>>,
    /// A sub-step that was handed to the store, and whose outcome is not known yet.
    unsure: Option<Box<Transition>>,
    /// What this attempt knows to be stored, by path; read when it is first asked for.
    stored: Option<BTreeMap<Arc<str>, Bytes>>,
    /// The names that this attempt asked for.
    asked: BTreeSet<Arc<str>>,
}

/// What became of a sub-step.
enum Sure {
    /// It is stored (or there was none).
    Stored,
    /// Not yet: the branch moved under its owner, who holds it still.
    Moved,
    /// The branch is not this session's any more.
    Lost,
}

impl RunningAttempt {
    pub(crate) fn new(
        session: &Arc<Session>,
        workflow: &Arc<dyn RunnableWorkflow>,
        branch: Box<BranchView>,
        node: Arc<str>,
        drive: Arc<Drive>,
    ) -> Arc<Self> {
        drive.begin(branch.revision);
        let state = State { branch: Some(branch), unsure: None, stored: None, asked: BTreeSet::new() };
        let (session, workflow) = (Arc::downgrade(session), Arc::clone(workflow));
        Arc::new(Self { session, workflow, node, drive, state: Mutex::new(state), over: AtomicBool::new(false) })
    }

    /// Ends the attempt when it is dropped, however its drive ends.
    pub(crate) fn guard(self: &Arc<Self>) -> AttemptGuard {
        AttemptGuard(Arc::clone(self))
    }

    /// The branch as the attempt leaves it; `None` if it is not the session's any more. What is being stored is waited for.
    pub(crate) async fn end(&self) -> Result<Option<Box<BranchView>>, StoreError> {
        self.over.store(true, Ordering::Release);
        let mut state = self.state.lock().await;
        if let Some(session) = self.session.upgrade() {
            self.make_sure(&session, &mut state).await?;
        }
        Ok(state.branch.take())
    }

    /// An accepted sub-step moved the branch.
    fn moved(&self, state: &mut State, at: Option<Timestamp>) {
        if let Some(branch) = &mut state.branch {
            branch.revision += 1;
            (branch.crashes, branch.due_at) = (0, None);
            branch.now = at.unwrap_or(branch.now);
            self.drive.moved();
        }
    }

    fn over(&self) -> AttemptError {
        AttemptError::Over { node: Arc::clone(&self.node) }
    }

    fn not_stored(&self, what: String, error: StoreError) -> AttemptError {
        AttemptError::Store { node: Arc::clone(&self.node), what, source: error.into() }
    }

    fn session(&self) -> Result<Arc<Session>, AttemptError> {
        self.session.upgrade().filter(|_| !self.is_over()).ok_or_else(|| self.over())
    }

    async fn look_up(&self, name: Arc<str>) -> Result<Option<Bytes>, AttemptError> {
        let session = self.session()?;
        if name.is_empty() {
            return Err(AttemptError::NoName { node: Arc::clone(&self.node) });
        }
        let mut state = self.state.lock().await;
        let Some(branch) = &state.branch else { return Err(self.over()) };
        if state.asked.contains(&name) {
            return Err(AttemptError::RepeatedName { node: Arc::clone(&self.node), name });
        }
        if state.stored.is_none() {
            let read = self.read_stored(&session, branch).await;
            state.stored = Some(read.map_err(|error| self.not_stored(format!("the sub-step {name:?}"), error))?);
        }
        let stored = state.stored.as_ref().and_then(|stored| stored.get(&sub_step_path(&self.node, &name)).cloned());
        state.asked.insert(name);
        Ok(stored)
    }

    async fn read_stored(&self, session: &Session, branch: &BranchView) -> Result<BTreeMap<Arc<str>, Bytes>, StoreError> {
        let (run, id) = (branch.run, branch.branch.clone());
        let read = ask(&*session.host, session.options.patience, || session.store.sub_steps(run, id.clone(), Arc::clone(&self.node)));
        // Row by row: to sort them first, as `collect` does, is more code than the module for Workers has room for.
        let mut stored = BTreeMap::new();
        for (path, output) in read.await? {
            stored.insert(path, output);
        }
        Ok(stored)
    }

    async fn store(&self, name: Arc<str>, output: Bytes) -> Result<(), AttemptError> {
        let session = self.session()?;
        let what = || format!("the sub-step {name:?}");
        let mut state = self.state.lock().await;
        self.make_sure(&session, &mut state).await.map_err(|error| self.not_stored(what(), error))?;
        loop {
            state.unsure = self.transition(&state, &name, &output);
            if state.unsure.is_none() {
                return Err(self.over());
            }
            match self.make_sure(&session, &mut state).await.map_err(|error| self.not_stored(what(), error))? {
                Sure::Stored => {
                    state.stored.get_or_insert_default().insert(sub_step_path(&self.node, &name), output);
                    return Ok(());
                }
                Sure::Moved => {}
                Sure::Lost => return Err(self.over()),
            }
        }
    }

    /// Asks what became of the transition that is on its way, if there is one. A task that was dropped, or that dropped its
    /// sub-step, left it so: it may be stored at any time, and whoever commits next must know.
    async fn make_sure(&self, session: &Arc<Session>, state: &mut State) -> Result<Sure, StoreError> {
        let Some(transition) = &state.unsure else { return Ok(Sure::Stored) };
        let outcome = session.commit(transition).await;
        // An error of the store's door, or of one that was asked for long enough: not stored, or never to be known.
        state.unsure = None;
        match outcome? {
            CommitOutcome::Accepted { at, readied_parent: _ } => {
                self.moved(state, Some(at));
                Ok(Sure::Stored)
            }
            CommitOutcome::AlreadyAccepted => {
                self.moved(state, None);
                Ok(Sure::Stored)
            }
            CommitOutcome::Refused(Refusal::Moved) => self.reload(session, state).await,
            CommitOutcome::Refused(Refusal::LeaseLost | Refusal::Ended | Refusal::Replaced) => {
                state.branch = None;
                Ok(Sure::Lost)
            }
        }
    }

    fn transition(&self, state: &State, name: &Arc<str>, output: &Bytes) -> Option<Box<Transition>> {
        let definition = Definition { plan: self.workflow.plan(), payloads: self.workflow.payloads() };
        let input = Input::SubStepReturned { name: Arc::clone(name), output: output.clone() };
        match decide(definition, state.branch.as_deref()?, input) {
            Decision::Commit(transition) => Some(transition),
            Decision::Do(_) => None,
        }
    }

    /// A pause, an unpause or a request moved the branch: the task runs on while it stands where it stood. If somebody stored a
    /// sub-step there meanwhile, they had the branch before this session took it again: what they stored stands, and this attempt is over.
    async fn reload(&self, session: &Session, state: &mut State) -> Result<Sure, StoreError> {
        let Some(branch) = state.branch.take() else { return Ok(Sure::Lost) };
        let Some(fresh) = session.load(branch.run, vec![branch.branch.clone()]).await?.pop() else { return Ok(Sure::Lost) };
        if !is_same_attempt(&fresh, &branch) {
            return Ok(Sure::Lost);
        }
        let now = self.read_stored(session, &fresh).await?;
        let known = state.stored.get_or_insert_default();
        if now.keys().any(|path| !known.contains_key(path)) {
            return Ok(Sure::Lost);
        }
        state.branch = Some(Box::new(fresh));
        Ok(Sure::Moved)
    }

    async fn keep_progress(&self, progress: Bytes) -> Result<(), AttemptError> {
        let what = "its progress";
        self.write_beside(what, |session, run, id| session.store.report_progress(session.lease, run, id, progress.clone())).await
    }

    async fn keep_attributes(&self, attributes: SearchAttributes) -> Result<(), AttemptError> {
        let what = "its search attributes";
        self.write_beside(what, |session, run, id| session.store.set_search_attributes(session.lease, run, id, attributes.clone())).await
    }

    /// Writes something beside the steps, which the store takes from the owner of the branch alone.
    async fn write_beside(
        &self,
        what: &str,
        write: impl for<'s> Fn(&'s Session, RunNumber, BranchId) -> StoreFuture<'s, bool>,
    ) -> Result<(), AttemptError> {
        let session = self.session()?;
        let key = self.state.lock().await.branch.as_ref().map(|branch| (branch.run, branch.branch.clone()));
        let Some((run, id)) = key else { return Err(self.over()) };
        match ask(&*session.host, session.options.patience, || write(&session, run, id.clone())).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.state.lock().await.branch = None;
                Err(self.over())
            }
            Err(error) => Err(self.not_stored(what.to_owned(), error)),
        }
    }
}

impl AttemptServices for RunningAttempt {
    fn sub_step(&self, name: Arc<str>) -> BoxFuture<'_, Result<Option<Bytes>, AttemptError>> {
        Box::pin(self.look_up(name))
    }

    fn store_sub_step(&self, name: Arc<str>, output: Bytes) -> BoxFuture<'_, Result<(), AttemptError>> {
        Box::pin(self.store(name, output))
    }

    fn report_progress(&self, progress: Bytes) -> BoxFuture<'_, Result<(), AttemptError>> {
        Box::pin(self.keep_progress(progress))
    }

    fn set_search_attributes(&self, attributes: SearchAttributes) -> BoxFuture<'_, Result<(), AttemptError>> {
        Box::pin(self.keep_attributes(attributes))
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

/// Tells what a dropped task left behind that its attempt is over.
pub(crate) struct AttemptGuard(Arc<RunningAttempt>);

impl Drop for AttemptGuard {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
        self.0.drive.end();
    }
}
