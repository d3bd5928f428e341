//! What is told of a failure: where, at which attempt, and why, with all its causes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::error::Error;
use std::fmt;
use std::time::Duration;

use sayiir::prelude::*;
use sayiir::testing::TestRun;

#[derive(Debug)]
struct Outer(std::num::ParseIntError);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the bank's answer is no number")
    }
}

impl Error for Outer {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[task(id = "charge_card", retries = 1, backoff = "1ms")]
async fn charge(_euros: u32) -> Result<u32, Outer> {
    "x".parse().map_err(Outer)
}

#[tokio::test]
async fn a_failure_names_node_task_attempt_and_causes() {
    let flow = workflow! {
        name: "order",
        steps: [
            loop "tries" [pay: (charge) || other(x: u32) { x }, join(o: BranchOutputs<_>) { o.get_by_id::<u32>("pay") }, done(x: u32) { LoopResult::Done(x) }] 3,
        ],
    }
    .unwrap();
    let store = InMemoryBackend::new();
    let error = flow.run_durable(store.clone(), "i", 1).await.unwrap_err().to_string();
    let client = WorkflowClient::new(store);
    let failure = client.failure("i").await.unwrap().unwrap();
    assert_eq!((&*failure.node, failure.task.as_str(), failure.attempt), ("tries[0]/join/pay/charge_card", "charge_card", 2));
    let told = "tries[0]/join/pay/charge_card: attempt 2 failed: the bank's answer is no number: invalid digit found in string";
    assert_eq!((failure.error.as_str(), error.as_str()), (told, told));
    assert_eq!(client.status("i").await.unwrap(), WorkflowStatus::Failed(told.to_owned()));
    client.submit(&flow, "queued", 1).await.unwrap();
    assert_eq!(client.failure("queued").await.unwrap(), None);
    assert!(client.failure("nobody").await.is_err());
}

#[derive(Debug, thiserror::Error)]
enum PayError {
    #[error("the card was refused")]
    Refused,
    #[error("the bank is busy")]
    Busy,
}

impl TaskError for PayError {
    fn retry(&self) -> Retry {
        match self {
            Self::Refused => Retry::Never,
            Self::Busy => Retry::After(HOUR),
        }
    }
}

const HOUR: Duration = Duration::from_hours(1);

#[derive(Debug, thiserror::Error)]
enum Wrapped {
    #[error("could not pay")]
    Source(#[source] BoxError),
    #[error(transparent)]
    Transparent(BoxError),
    #[error(transparent)]
    Marked(#[from] DoNotRetry),
}

/// What an error says about another attempt is found however it is wrapped on its way out of the task.
#[test]
fn advice_is_found_through_wrappers() {
    let refused = || advised(PayError::Refused);
    let wrapped: Vec<(&str, BoxError)> = vec![
        ("as it is", refused()),
        ("in a box in a box", Box::new(Wrapped::Transparent(Wrapped::Transparent(refused()).into()))),
        ("a source", Wrapped::Source(refused()).into()),
        ("transparent", Wrapped::Transparent(refused()).into()),
        ("transparent, by `?`", Wrapped::from(DoNotRetry::new(PayError::Refused)).into()),
        ("anyhow", anyhow::Error::from(DoNotRetry::new(PayError::Refused)).into()),
        ("anyhow, of a box", anyhow::Error::from_boxed(refused()).into()),
        ("anyhow with a context", anyhow::Error::from_boxed(refused()).context("order 17").context("at night").into()),
        ("an i/o error", std::io::Error::other(refused()).into()),
    ];
    for (how, error) in wrapped {
        assert_eq!(Retry::of(&*error), Retry::Never, "{how}");
        let causes = std::iter::successors(Some(&*error as &(dyn Error + 'static)), |&error| error.source());
        assert!(causes.into_iter().any(<dyn Error>::is::<PayError>), "{how}: the program's own error is among the causes");
    }
    // What was said last stands: it is the outermost.
    let later = RetryAfter::new(HOUR, refused());
    assert_eq!(Retry::of(&later), Retry::After(HOUR));
    assert_eq!(Retry::of(&DoNotRetry::new(later)), Retry::Never);
    assert_eq!(Retry::of(&Wrapped::Source("a plain one".into())), Retry::ByPolicy);
}

#[task(retries = 5, backoff = "1s")]
async fn pay(euros: u32) -> anyhow::Result<u32> {
    match euros {
        0 => Err(DoNotRetry::new("nothing to pay"))?,
        1 => Err(anyhow::Error::from_boxed(advised(PayError::Refused)).context("order 17"))?,
        2 if task_context!().is_some_and(|context| context.attempt == 1) => Err(RetryAfter::new(HOUR, PayError::Busy))?,
        _ => Ok(euros),
    }
}

#[task(retries = 5, backoff = "1s")]
async fn pay_typed(euros: u32) -> Result<u32, PayError> {
    match euros {
        1 => Err(PayError::Refused),
        2 if task_context!().is_some_and(|context| context.attempt == 1) => Err(PayError::Busy),
        _ => Ok(euros),
    }
}

#[tokio::test]
async fn tasks_heed_the_advice_of_wrapped_errors() {
    let by_anyhow = workflow! { name: "pay", steps: [pay] }.unwrap();
    let by_type = workflow! { name: "pay typed", steps: [pay_typed] }.unwrap();
    for (flow, euros, told) in [
        (&by_anyhow, 0, "pay: attempt 1 failed: nothing to pay"),
        (&by_anyhow, 1, "pay: attempt 1 failed: order 17: the card was refused"),
        (&by_type, 1, "pay_typed: attempt 1 failed: the card was refused"),
    ] {
        assert_eq!(TestRun::of(flow).start(euros).await.unwrap().status().await.unwrap(), WorkflowStatus::Failed(told.to_owned()));
    }
    for flow in [&by_anyhow, &by_type] {
        let mut test = TestRun::of(flow).start(2).await.unwrap();
        test.advance(Duration::from_secs(3599)).await;
        assert!(test.output().await.is_err(), "the policy's second has passed, the error's hour has not");
        test.advance(Duration::from_secs(1)).await;
        assert_eq!(test.output().await.unwrap(), 2);
    }
}
