//! The engine as JavaScript calls it: instances are started, driven, told and asked.
//!
//! A call opens a session when it needs one, and holds leases only while it drives: nothing of it stays awake after its answer.

use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use js_sys::Promise;
use sayiir_core::attribute::{AttributeValue, SearchAttributes};
use sayiir_core::branch::{JournalRef, LeaseId, RunNumber};
use sayiir_core::control::SignalRequest;
use sayiir_core::error::WorkflowError;
use sayiir_core::future::BoxFuture;
use sayiir_core::plan::{Place, Plan};
use sayiir_core::validate_instance_id;
use sayiir_core::workflow::{ConflictPolicy, RunnableWorkflow, WorkflowDefinition, WorkflowStatus};
use sayiir_driver::{Host, RunEnd, Session, SessionOptions, WaitFor, WorkflowSet};
use sayiir_persistence::{
    AttributeFilter, AttributeTest, BackendError, ControlAction, ControlCommand, ControlOutcome, Definition, InMemoryBackend,
    InstanceFilter, InstanceRecord, ListOrder, NewEvent, RunConflict, RunState, RunningStatus, SendOutcome, StartOutcome, StartRun, Store,
    StoreFuture,
};
use serde::Deserialize;
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use super::asked::{Fleeting, Kept};
use super::database::{Database, JsSql};
use super::error::EdgeError;
use super::flow::Flow;
use super::host::{Isolate, IsolateClock, random};
use super::status;
use crate::store::{SqlStore, SqlStoreOptions};

/// So many journal rows are read at a time.
const PAGE: usize = 1000;
/// How often a store that does not answer is asked again by those who only tell or ask something.
const ASKED_AGAIN: u32 = 4;

/// What a call may take of time and whom it meets.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RunOptions {
    conflict_policy: Option<String>,
    time_budget_ms: Option<u64>,
    search_attributes: SearchAttributes,
}

impl RunOptions {
    fn parse(json: &str) -> Result<Self, EdgeError> {
        serde_json::from_str(json).map_err(|error| EdgeError::Wrong(error.into()))
    }

    fn budget(&self) -> Option<Duration> {
        self.time_budget_ms.map(Duration::from_millis)
    }
}

/// Whom a list shows.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ListOptions {
    status: Option<String>,
    workflow: Option<String>,
    search_attributes: Vec<(Arc<str>, String, AttributeValue)>,
    limit: Option<usize>,
    after: Option<String>,
    newest_first: bool,
    before: Option<u64>,
}

impl ListOptions {
    fn attributes(&self) -> Result<Vec<AttributeFilter>, EdgeError> {
        let filter = |(name, test, value): &(Arc<str>, String, AttributeValue)| {
            let value = value.clone();
            let test = match test.as_str() {
                "is" => AttributeTest::Is(value),
                "atLeast" => AttributeTest::AtLeast(value),
                "atMost" => AttributeTest::AtMost(value),
                other => return Err(EdgeError::Wrong(format!("{name:?}: {other:?} is no test of a search attribute").into())),
            };
            Ok(AttributeFilter { name: Arc::clone(name), test })
        };
        self.search_attributes.iter().map(filter).collect()
    }
}

/// The engine over one store.
#[wasm_bindgen]
pub struct Core {
    pub(super) shared: Arc<Shared>,
}

/// What calls share.
pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) host: Arc<dyn Host>,
    pub(super) options: SessionOptions,
    session: RefCell<Weak<Session>>,
}

#[wasm_bindgen]
impl Core {
    /// An engine over a database; its leases last so many milliseconds. `remote`: the database may not answer. `prepared`: this
    /// isolate has seen the tables.
    #[wasm_bindgen(constructor)]
    pub fn new(database: Database, lease_ms: u32, remote: bool, prepared: bool) -> Self {
        let options = SqlStoreOptions { prepared, ..SqlStoreOptions::new(Arc::new(IsolateClock)) };
        let patience = remote.then(|| Duration::from_millis(lease_ms.into()));
        Self::over(Arc::new(Kept(SqlStore::new(Arc::new(JsSql { database, patience }), options))), lease_ms)
    }

    /// An engine that keeps nothing.
    #[wasm_bindgen(js_name = inMemory)]
    pub fn in_memory() -> Self {
        Self::over(Arc::new(Fleeting(InMemoryBackend::with_clock(Arc::new(IsolateClock)))), 60_000)
    }

    fn over(store: Arc<dyn Store>, lease_ms: u32) -> Self {
        let options = SessionOptions { ttl: Duration::from_millis(lease_ms.into()), bounded: false, ..SessionOptions::default() };
        Self { shared: Arc::new(Shared { store, host: Arc::new(Isolate), options, session: RefCell::default() }) }
    }

    /// Starts an instance and drives it until it has ended, is paused, or waits; gives its status. With `to_end` it waits out
    /// delays, too.
    pub fn run(&self, flow: &Flow, id: String, input: String, options: &str, to_end: bool) -> Promise {
        let (shared, workflow) = (Arc::clone(&self.shared), Arc::clone(&flow.workflow) as Arc<dyn RunnableWorkflow>);
        let options = RunOptions::parse(options);
        let wait_for = if to_end { WaitFor::Timers } else { WaitFor::Retries };
        answer(async move { shared.run(workflow, id, input.into(), &options?, wait_for).await })
    }

    /// Starts an instance, and drives nothing; gives its status.
    pub fn submit(&self, flow: &Flow, id: String, input: String, options: &str) -> Promise {
        let (shared, workflow) = (Arc::clone(&self.shared), Arc::clone(&flow.workflow));
        let options = RunOptions::parse(options);
        answer(async move {
            match shared.start(workflow.plan(), &id, input.into(), &options?, None).await? {
                StartOutcome::Existing { status, output } => Ok(status::status(&status, output.as_ref())),
                StartOutcome::Fresh { .. } | StartOutcome::AlreadyExists | StartOutcome::DefinitionMismatch { .. } => {
                    Ok(status::status(&WorkflowStatus::InProgress, None))
                }
            }
        })
    }

    /// Drives an instance on from where it stands; gives its status.
    pub fn resume(&self, flow: &Flow, id: String, options: &str) -> Promise {
        let (shared, workflow) = (Arc::clone(&self.shared), Arc::clone(&flow.workflow) as Arc<dyn RunnableWorkflow>);
        let options = RunOptions::parse(options);
        answer(async move { shared.resume(workflow, id, options?.budget()).await })
    }

    /// Drives what is due of these workflows; gives which instances were driven, and which could not be.
    #[wasm_bindgen(js_name = resumeAll)]
    pub fn resume_all(&self, flows: &Flows, limit: usize, time_budget_ms: Option<f64>) -> Promise {
        let (shared, workflows) = (Arc::clone(&self.shared), Arc::new(flows.set.clone()));
        let budget = time_budget_ms.and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok());
        answer(async move { shared.resume_all(&workflows, limit, budget).await })
    }

    /// Cancels an instance at once; gives its status.
    pub fn cancel(&self, id: String, reason: Option<String>, by: Option<String>) -> Promise {
        self.control(id, ControlAction::Cancel, SignalRequest::new(reason, by))
    }

    /// Pauses an instance; gives its status.
    pub fn pause(&self, id: String, reason: Option<String>, by: Option<String>) -> Promise {
        self.control(id, ControlAction::Pause, SignalRequest::new(reason, by))
    }

    /// Lets a paused instance go on; gives its status.
    pub fn unpause(&self, id: String) -> Promise {
        self.control(id, ControlAction::Unpause, SignalRequest::default())
    }

    /// Lets a failed instance go on from where it failed, with fresh attempts; gives its status.
    pub fn retry(&self, id: String) -> Promise {
        self.control(id, ControlAction::Retry, SignalRequest::default())
    }

    /// Sends an event. Without a key of the caller's it is given one, so that it is sent once although it may be asked for again.
    pub fn send(&self, id: String, name: String, payload: String, key: Option<String>) -> Promise {
        let shared = Arc::clone(&self.shared);
        answer(async move {
            validate_instance_id(&id)?;
            let key = key.unwrap_or_else(|| format!("sayiir:{:032x}", random()));
            let event =
                NewEvent { instance_id: Arc::from(&*id), name: Arc::from(name), payload: payload.into(), key: Some(Arc::from(key)) };
            match shared.ask(|| shared.store.put_event(event.clone())).await? {
                SendOutcome::Stored(_) | SendOutcome::Duplicate => Ok(Value::Null),
                SendOutcome::Finished(status) => {
                    Err(EdgeError::Refused(format!("Cannot send {:?}: instance {id:?} is {}", event.name, status.as_str())))
                }
            }
        })
    }

    /// How an instance stands.
    pub fn status(&self, id: String) -> Promise {
        let shared = Arc::clone(&self.shared);
        answer(async move {
            let record = shared.record(&id).await?;
            Ok(status::status(&record.summary.status, record.output.as_ref()))
        })
    }

    /// What the running tasks of an instance said about how far they are.
    pub fn progress(&self, id: String) -> Promise {
        let shared = Arc::clone(&self.shared);
        answer(async move { Ok(shared.record(&id).await?.branches.iter().filter_map(status::progress).collect()) })
    }

    /// The definition that an instance was started with.
    pub fn definition(&self, id: String) -> Promise {
        let shared = Arc::clone(&self.shared);
        answer(async move { Ok(json!(shared.record(&id).await?.summary.definition.hash.to_hex())) })
    }

    /// Instances, in order of their ids.
    pub fn list(&self, options: &str) -> Promise {
        let shared = Arc::clone(&self.shared);
        let options: Result<ListOptions, _> = serde_json::from_str(options).map_err(|error| EdgeError::Wrong(error.into()));
        answer(async move { shared.list(options?).await })
    }

    /// The journal of an instance's present run.
    pub fn history(&self, id: String) -> Promise {
        let shared = Arc::clone(&self.shared);
        answer(async move { shared.history(&id).await })
    }

    /// Removes an instance with all that is known of it; false if it is unknown.
    pub fn delete(&self, id: String) -> Promise {
        let shared = Arc::clone(&self.shared);
        answer(async move { Ok(json!(shared.ask(|| shared.store.delete(&id)).await?)) })
    }

    fn control(&self, id: String, action: ControlAction, request: SignalRequest) -> Promise {
        let shared = Arc::clone(&self.shared);
        answer(async move {
            shared.control(&id, action, request).await?;
            let record = shared.record(&id).await?;
            Ok(status::status(&record.summary.status, record.output.as_ref()))
        })
    }
}

/// Workflows, of which some instance may be due.
#[wasm_bindgen]
#[derive(Default)]
pub struct Flows {
    set: WorkflowSet,
}

#[wasm_bindgen]
impl Flows {
    /// None yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    pub fn add(&mut self, flow: &Flow) {
        self.set = std::mem::take(&mut self.set).with(Arc::clone(&flow.workflow) as Arc<dyn RunnableWorkflow>);
    }
}

/// The promise of a JSON text.
pub(super) fn answer(work: impl Future<Output = Result<Value, EdgeError>> + 'static) -> Promise {
    promise(Box::pin(work))
}

/// Compiled once, not for each call.
fn promise(work: BoxFuture<'static, Result<Value, EdgeError>>) -> Promise {
    future_to_promise(async move {
        match work.await {
            Ok(value) => Ok(JsValue::from_str(&value.to_string())),
            Err(error) => Err(error.into()),
        }
    })
}

impl Shared {
    /// The session of the calls that are on their way, or a new one.
    pub(super) async fn session(&self) -> Result<Arc<Session>, EdgeError> {
        if let Some(session) = self.session.borrow().upgrade() {
            return Ok(session);
        }
        let session = Session::open(Arc::clone(&self.store), Arc::clone(&self.host), self.options.clone()).await?;
        *self.session.borrow_mut() = Arc::downgrade(&session);
        Ok(session)
    }

    /// Asks again, unchanged, if the store did not answer.
    pub(super) async fn ask<'a, T>(&self, operation: impl Fn() -> StoreFuture<'a, T>) -> Result<T, EdgeError> {
        for again in 0..ASKED_AGAIN {
            match operation().await {
                Err(error) if error.is_transient() => self.host.sleep(Duration::from_millis(20 << again)).await,
                done => return Ok(done?),
            }
        }
        Ok(operation().await?)
    }

    async fn record(&self, id: &str) -> Result<InstanceRecord, EdgeError> {
        self.ask(|| self.store.instance(id)).await?.ok_or_else(|| EdgeError::NotFound(id.to_owned()))
    }

    async fn start(
        &self,
        plan: &Plan,
        id: &str,
        input: Bytes,
        options: &RunOptions,
        lease: Option<(LeaseId, Duration)>,
    ) -> Result<StartOutcome, EdgeError> {
        validate_instance_id(id)?;
        let policy: ConflictPolicy = match options.conflict_policy.as_deref() {
            Some(text) => text.parse().map_err(|error| EdgeError::Wrong(Box::new(error)))?,
            None => ConflictPolicy::default(),
        };
        let first = Place::start(plan);
        let document = Some(plan.document()).filter(|document| document.len() <= self.store.limits().payload_bytes);
        let definition = Definition {
            hash: *plan.hash(),
            name: Arc::clone(plan.name()),
            version: Arc::clone(plan.version()),
            document: document.cloned(),
        };
        let request = StartRun {
            instance_id: Arc::from(id),
            definition,
            policy,
            input,
            first_node: first.path(plan),
            placement: plan.task_at(first.node).map(|task| task.metadata.placement()).unwrap_or_default(),
            nonce: random(),
            lease,
            trace: None,
            attributes: options.search_attributes.clone(),
        };
        match self.ask(|| self.store.start(request.clone())).await? {
            StartOutcome::AlreadyExists => Err(RunConflict::AlreadyExists(id.to_owned()).into()),
            StartOutcome::DefinitionMismatch { found } => Err(self.mismatch(plan, id, found).await),
            started @ (StartOutcome::Fresh { .. } | StartOutcome::Existing { .. }) => Ok(started),
        }
    }

    /// The refusal of a workflow for an instance of another definition, with what changed since.
    async fn mismatch(&self, plan: &Plan, id: &str, found: sayiir_core::DefinitionHash) -> EdgeError {
        let document = self.store.definition_document(found).await.ok().flatten();
        let stored: Option<WorkflowDefinition> = document.and_then(|document| serde_json::from_str(&document).ok());
        let changes = stored.map(|stored| Box::new(stored.diff(&WorkflowDefinition::of(plan))));
        WorkflowError::DefinitionMismatch { instance_id: Some(Arc::from(id)), expected: *plan.hash(), found, changes }.into()
    }

    async fn run(
        &self,
        workflow: Arc<dyn RunnableWorkflow>,
        id: String,
        input: Bytes,
        options: &RunOptions,
        wait_for: WaitFor,
    ) -> Result<Value, EdgeError> {
        let session = self.session().await?;
        let lease = Some((session.lease(), self.options.ttl));
        let (run, root) = match self.start(workflow.plan(), &id, input, options, lease).await? {
            StartOutcome::Fresh { run, created_at: _, root } => (run, root),
            StartOutcome::Existing { status, output } => return Ok(status::status(&status, output.as_ref())),
            StartOutcome::AlreadyExists | StartOutcome::DefinitionMismatch { .. } => {
                return Err(EdgeError::Refused(format!("instance {id:?} was not started")));
            }
        };
        let workflows = Arc::new(WorkflowSet::new().with(workflow));
        let RunEnd { status, output } = self.drive(&session, &workflows, &Arc::from(id), run, root, wait_for, options.budget()).await?;
        Ok(status::status(&status, output.as_ref()))
    }

    async fn resume(&self, workflow: Arc<dyn RunnableWorkflow>, id: String, budget: Option<Duration>) -> Result<Value, EdgeError> {
        let InstanceRecord { summary, output, .. } = self.record(&id).await?;
        if *workflow.plan().hash() != summary.definition.hash {
            return Err(self.mismatch(workflow.plan(), &id, summary.definition.hash).await);
        }
        if summary.status.is_terminal() {
            return Ok(status::status(&summary.status, output.as_ref()));
        }
        let session = self.session().await?;
        let workflows = Arc::new(WorkflowSet::new().with(workflow));
        let end = self.drive(&session, &workflows, &summary.instance_id, summary.run, None, WaitFor::Retries, budget).await?;
        Ok(status::status(&end.status, end.output.as_ref()))
    }

    async fn control(&self, id: &str, action: ControlAction, request: SignalRequest) -> Result<(), EdgeError> {
        let command = ControlCommand { instance_id: Arc::from(id), action, request };
        let is = |status: &WorkflowStatus| format!("instance {id:?} is {}", status.as_str());
        let refused = |error: BackendError| Err(EdgeError::Refused(sayiir_core::error::error_chain(&error)));
        match (action, self.ask(|| self.store.control(command.clone())).await?) {
            (_, ControlOutcome::Applied | ControlOutcome::AlreadySo)
            | (ControlAction::Cancel, ControlOutcome::Finished(WorkflowStatus::Cancelled { .. })) => Ok(()),
            (ControlAction::Cancel, ControlOutcome::Finished(status)) => refused(BackendError::CannotCancel(is(&status).into())),
            (ControlAction::Pause | ControlAction::Unpause, ControlOutcome::Finished(status)) => {
                refused(BackendError::CannotPause(is(&status).into()))
            }
            (ControlAction::Retry, ControlOutcome::Finished(status)) => Err(EdgeError::Refused(format!("Cannot retry: {}", is(&status)))),
            (_, ControlOutcome::NotFound) => Err(EdgeError::NotFound(id.to_owned())),
        }
    }

    async fn list(&self, options: ListOptions) -> Result<Value, EdgeError> {
        let attributes = options.attributes()?;
        let ListOptions { status, workflow, search_attributes: _, limit, after, newest_first, before } = options;
        let (states, running) = match status.as_deref() {
            None => (None, None),
            Some("completed") => (Some(RunState::Completed), None),
            Some("failed") => (Some(RunState::Failed), None),
            Some("cancelled") => (Some(RunState::Cancelled), None),
            Some("paused") => (Some(RunState::Paused), None),
            Some("in_progress") => (Some(RunState::Running), Some(RunningStatus::InProgress)),
            Some("waiting") => (Some(RunState::Running), Some(RunningStatus::Waiting)),
            Some("awaiting_signal") => (Some(RunState::Running), Some(RunningStatus::AwaitingSignal)),
            Some(other) => return Err(EdgeError::Wrong(format!("there is no status {other:?}").into())),
        };
        let filter = InstanceFilter {
            workflow,
            states: states.into_iter().collect(),
            running: running.into_iter().collect(),
            attributes,
            order: if newest_first { ListOrder::NewestFirst { before: before.map(RunNumber) } } else { ListOrder::ById },
            after: after.map(Arc::from),
            limit: Some(limit.unwrap_or(PAGE)),
            ..Default::default()
        };
        let found: Vec<Value> = self.ask(|| self.store.list(filter.clone())).await?.iter().map(status::in_list).collect();
        Ok(Value::Array(found))
    }

    async fn history(&self, id: &str) -> Result<Value, EdgeError> {
        let run = self.record(id).await?.summary.run;
        let (mut rows, mut after) = (Vec::new(), None);
        loop {
            let page = self.ask(|| self.store.journal(run, after.clone(), PAGE)).await?;
            after = page.last().map(|row| (row.at, JournalRef { branch: row.branch.clone(), revision: row.revision }));
            rows.extend(page.iter().map(status::row));
            if page.len() < PAGE {
                return Ok(Value::Array(rows));
            }
        }
    }
}
