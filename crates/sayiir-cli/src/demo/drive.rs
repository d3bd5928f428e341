//! Driving the demo: which instances there are to be, starting those that are missing, waiting for all, and reading what is stored.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use sayiir::core::journal::JournalRow;
use sayiir::persistence::{InstanceRecord, Store as _};
use sayiir::prelude::*;

use super::audit::StoredStep;
use super::counting::{CountingStore, is_step};
use super::family::needs_approval;
use super::flow::{APPROVAL, Flow};
use super::input::Line;
use super::progress::Progress;
use super::summary::Effort;
use super::values::{Approval, Delivery, Outcome};
use super::webhook;

/// So many submissions, waits and reads are under way at a time, so that the store can take many into one transaction.
const IN_FLIGHT: usize = 64;

/// The most branches that are driven at a time.
const BRANCHES: usize = 256;

type Client = WorkflowClient<CountingStore<SqliteBackend>>;

/// An instance that there is to be.
struct Wanted {
    id: String,
    delivery: Delivery,
}

/// A demo that is ready to go.
pub(crate) struct Drive {
    flow: Flow,
    client: Client,
    wanted: Vec<Wanted>,
    ids: HashSet<String>,
}

/// What this process did.
pub(crate) struct Work {
    /// Instances that had not ended when it began.
    pub(crate) found_unfinished: usize,
    /// How much it did.
    pub(crate) effort: Effort,
}

/// What is stored of the instances.
#[derive(Default)]
pub(crate) struct Stored {
    /// The outcomes of those that completed.
    pub(crate) outcomes: Vec<Outcome>,
    /// Those that ended in another way, with the reason.
    pub(crate) failures: Vec<(String, String)>,
    /// The steps of all of them.
    pub(crate) steps: Vec<StoredStep>,
}

impl Drive {
    /// The instances of these lines, `copies` of each, in this store.
    pub(crate) fn new(flow: Flow, store: CountingStore<SqliteBackend>, lines: &[Line], copies: u32) -> Self {
        let client = WorkflowClient::new(store).with_conflict_policy(ConflictPolicy::UseExisting);
        let wanted = |copy| {
            lines.iter().map(move |Line { number, text }| Wanted {
                id: format!("webhook-{number}-{copy}"),
                delivery: Delivery { line: *number, text: Arc::clone(text) },
            })
        };
        let wanted: Vec<Wanted> = (1..=copies).flat_map(wanted).collect();
        let ids = wanted.iter().map(|wanted| wanted.id.clone()).collect();
        Self { flow, client, wanted, ids }
    }

    /// How many instances there are to be.
    pub(crate) const fn instances(&self) -> usize {
        self.wanted.len()
    }

    /// Whether an instance of this id is among them.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Starts the instances that are missing, and drives all to their end.
    pub(crate) async fn work(&self) -> anyhow::Result<Work> {
        let started = Instant::now();
        let unfinished = self.unfinished().await?;
        if !unfinished.is_empty() {
            self.finish(&unfinished).await?;
        }
        let effort = Effort { steps: self.client.backend().steps(), time: started.elapsed() };
        Ok(Work { found_unfinished: unfinished.len(), effort })
    }

    /// The instances that have not ended, or not begun. An error if one was begun with other input: it would be reported for
    /// what it is not.
    async fn unfinished(&self) -> anyhow::Result<Vec<&Wanted>> {
        let all = stream::iter(&self.wanted).map(|wanted| async move {
            let Some(record) = self.client.backend().instance(&wanted.id).await? else { return Ok(Some(wanted)) };
            self.check_origin(wanted, &record)?;
            anyhow::Ok((!record.summary.status.is_terminal()).then_some(wanted))
        });
        all.buffered(IN_FLIGHT).try_filter_map(|found| async move { Ok(found) }).try_collect().await
    }

    fn check_origin(&self, wanted: &Wanted, record: &InstanceRecord) -> anyhow::Result<()> {
        const ADVICE: &str = "begin anew with --fresh, or take another file with --store";
        let id = &wanted.id;
        ensure!(
            record.summary.definition.hash == *self.flow.definition_hash(),
            "{id} in the store is of another demo's workflow: {ADVICE}"
        );
        ensure!(record.input == self.flow.encode_input(&wanted.delivery)?, "{id} in the store was started with another input: {ADVICE}");
        Ok(())
    }

    async fn finish(&self, unfinished: &[&Wanted]) -> anyhow::Result<()> {
        let flow = WorkflowSet::new().with(Arc::new(self.flow.clone()));
        let worker = LocalWorker::from_shared(Arc::clone(self.client.backend())).concurrency(BRANCHES).spawn(flow).await?;
        let progress = Progress::start(self.instances() as u64, (self.instances() - unfinished.len()) as u64);

        stream::iter(unfinished).map(|wanted| self.start(wanted)).buffer_unordered(IN_FLIGHT).try_collect::<()>().await?;
        let mut ends = stream::iter(unfinished).map(|wanted| self.client.wait(&wanted.id, None)).buffer_unordered(IN_FLIGHT);
        while ends.try_next().await?.is_some() {
            progress.advance();
        }

        progress.finish();
        worker.shutdown();
        Ok(worker.join().await?)
    }

    /// Starts an instance, unless it is, and approves it if it is to be approved, unless it was.
    async fn start(&self, Wanted { id, delivery }: &Wanted) -> anyhow::Result<()> {
        self.client.submit(&self.flow, id, delivery.clone()).await?;
        if !needs_approval(&webhook::parse(&delivery.text)?.event) {
            return Ok(());
        }
        let approval = serde_json::to_vec(&Approval { by: "demo".to_owned() })?;
        // An event may come before it is waited for. With a key it is sent once, whatever becomes of this process.
        match self.client.send_event_once(id, APPROVAL, approval, "demo").await {
            // It was approved earlier, and the worker has just brought it to its end.
            Err(_) if self.client.status(id).await?.is_terminal() => Ok(()),
            sent => Ok(sent?),
        }
    }

    /// Reads what is stored of the instances.
    pub(crate) async fn stored(&self) -> anyhow::Result<Stored> {
        let read = |wanted| async move { self.read(wanted).await.with_context(|| format!("could not read {}", wanted.id)) };
        let mut all = stream::iter(&self.wanted).map(read).buffered(IN_FLIGHT);
        let mut stored = Stored::default();
        while let Some((outcome, steps)) = all.try_next().await? {
            match outcome {
                Ok(outcome) => stored.outcomes.push(outcome),
                Err(failure) => stored.failures.push(failure),
            }
            stored.steps.extend(steps);
        }
        Ok(stored)
    }

    /// An instance's outcome, or its id with the reason why it has none; and its steps.
    async fn read(&self, Wanted { id, delivery: _ }: &Wanted) -> anyhow::Result<(Result<Outcome, (String, String)>, Vec<StoredStep>)> {
        let outcome = match self.client.wait(id, Some(Duration::ZERO)).await? {
            sayiir::Outcome { status: WorkflowStatus::Completed, output: Some(output) } => Ok(self.flow.decode_output(output)?.result),
            sayiir::Outcome { status: WorkflowStatus::Failed(reason), output: _ } => Err((id.clone(), reason)),
            sayiir::Outcome { status, output: _ } => Err((id.clone(), status.as_str().to_owned())),
        };
        let rows = self.client.history(id).await?;
        Ok((outcome, rows.iter().filter(|row| is_step(row.kind)).map(|row| step(id, row)).collect()))
    }
}

fn step(id: &str, row: &JournalRow) -> StoredStep {
    StoredStep { instance: id.to_owned(), run: row.run.0, node: row.node.to_string(), attempt: row.attempt, at: row.at.as_micros() }
}
