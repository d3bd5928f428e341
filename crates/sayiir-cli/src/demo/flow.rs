//! The workflow of the demo: the pure functions of `values`, composed. Every task notes in the side file that it runs.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::Duration;

use sayiir::prelude::*;

use super::digest;
use super::family::{Family, needs_approval};
use super::run_log::RunLog;
use super::values::{self, Approval, Delivery, Digest, Outcome, Parsed, Sorted};

/// A webhook's way from its line to its outcome, which comes in the envelope of the last route.
pub(crate) type Flow = Workflow<JsonCodec, Delivery, (), BranchEnvelope<Outcome>>;

/// The event that releases and deployments wait for.
pub(crate) const APPROVAL: &str = "approval";

const PAUSE: Duration = Duration::from_millis(50);

/// More pages than the longest line can have.
const MOST_PAGES: u32 = 1 << 20;

/// Builds the workflow.
pub(crate) fn flow(log: &Arc<RunLog>) -> Result<Flow, BuildErrors> {
    let context = WorkflowContext::new("webhook", Arc::new(JsonCodec), Arc::new(()));
    let mut families = WorkflowBuilder::new(context)
        .then("parse", noted(log, |delivery: Delivery| Ok(values::parse(&delivery)?)))
        .route::<Sorted, Family, _, _>(noted(log, |parsed: Parsed| Ok(Family::of(&parsed.webhook.event))));
    for family in Family::NAMED.iter().copied() {
        families = families.branch(family, |arm| arm.then(family.key(), noted(log, move |parsed| Ok(values::sort(family, parsed)))));
    }
    families
        .default_branch(|arm| arm.then(Family::Other.key(), noted(log, |parsed| Ok(values::sort(Family::Other, parsed)))))
        .done()
        .fork()
        .branch("index", noted(log, |sorted: BranchEnvelope<Sorted>| Ok(digest::index(&sorted.result.webhook))))
        .branch("summarise", noted(log, |sorted: BranchEnvelope<Sorted>| Ok(values::summarise(&sorted.result))))
        .join(
            "combine",
            noted(log, |branches: BranchOutputs<JsonCodec>| {
                Ok(values::combine(branches.get_by_id("index")?, branches.get_by_id("summarise")?))
            }),
        )
        .loop_task(
            "pages",
            noted(log, |digest: Digest| {
                let (digest, last) = values::turn_page(digest);
                Ok(if last { LoopResult::Done(digest) } else { LoopResult::Again(digest) })
            }),
            MOST_PAGES,
        )
        .then("hand-over", noted(log, hand_over))
        .with_metadata(TaskMetadata { retries: Some(soon()), ..TaskMetadata::default() })
        .delay("pause", PAUSE)
        .route_str::<Outcome, _, _>(noted(log, |digest: Digest| {
            Ok(if needs_approval(&digest.summary.event) { "approve" } else { "conclude" }.to_owned())
        }))
        .branch("approve", |arm| {
            // An event's payload takes the place of the value, so the value waits in a branch beside it.
            arm.fork()
                .branch("digest", noted(log, |digest: Digest| Ok(digest)))
                .branch_flow("approval", |branch| branch.wait_for_signal("wait", APPROVAL, None))
                .join(
                    "conclude-approved",
                    noted(log, |branches: BranchOutputs<JsonCodec>| {
                        let approval: Approval = branches.get_by_id("approval")?;
                        Ok(values::conclude(branches.get_by_id("digest")?, Some(approval)))
                    }),
                )
        })
        .branch("conclude", |arm| arm.then("conclude", noted(log, |digest| Ok(values::conclude(digest, None)))))
        .done()
        .build()
}

/// The task as the engine takes it, which notes each of its runs before anything else.
fn noted<I, O, F>(log: &Arc<RunLog>, task: F) -> impl Fn(I) -> Ready<Result<O, BoxError>> + Send + Sync + use<I, O, F>
where
    F: Fn(I) -> Result<O, BoxError> + Send + Sync + 'static,
{
    let log = Arc::clone(log);
    move |input| ready(note(&log).and_then(|()| task(input)))
}

fn note(log: &RunLog) -> Result<(), BoxError> {
    let context = get_task_context().ok_or("a task runs without its context")?;
    Ok(log.note(&context.instance_id, context.run.0, &context.node_path, context.attempt)?)
}

fn hand_over(digest: Digest) -> Result<Digest, BoxError> {
    let attempt = get_task_context().map_or(1, |context| context.attempt);
    Ok(values::hand_over(digest, attempt)?)
}

/// A few retries, soon: nobody should wait for a demo.
fn soon() -> RetryPolicy {
    RetryPolicy { initial_delay: Duration::from_millis(20), ..RetryPolicy::with_max_retries(3) }
}

#[cfg(test)]
mod tests {
    use super::super::{input, run_log, webhook};
    use super::*;

    #[tokio::test]
    async fn every_kind_of_line_comes_to_its_outcome() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs");
        let flow = flow(&Arc::new(RunLog::open(&path).unwrap())).unwrap();
        let lines = input::read(None).unwrap().lines;
        let delivery = |event: &str| {
            let line = lines.iter().find(|line| webhook::parse(&line.text).unwrap().event == event).unwrap();
            Delivery { line: line.number, text: Arc::clone(&line.text) }
        };
        for event in ["issues", "push", "ping"] {
            let BranchEnvelope { branch, result } = flow.run_once(delivery(event)).await.unwrap();
            assert_eq!((branch.as_str(), result.event.as_str(), result.approved_by), ("conclude", event, None));
            assert!(result.pages >= 1);
        }
        assert!(run_log::read(&path).unwrap().len() > 20);
    }
}
