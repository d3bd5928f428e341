//! The test kit: a clock that the test moves, stubs, crashes, and what the journal then says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sayiir::prelude::*;
use sayiir::testing::TestRun;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

#[task(retries = 3)]
async fn ask(days: u32) -> Result<u32, BoxError> {
    if days == 0 { Err(DoNotRetry::new("no days").into()) } else { Ok(days) }
}

#[task]
async fn book(days: u32) -> String {
    format!("{days} days booked")
}

fn vacation() -> Workflow<JsonCodec, u32, (), String> {
    workflow! {
        name: "vacation",
        steps: [
            ask,
            delay "think" "30d",
            signal "approval" "approve" timeout "7d",
            decide(approved: Option<u32>) { approved.unwrap_or(0) },
            book,
        ]
    }
    .unwrap()
}

#[test]
fn a_month_with_retries_takes_no_time_and_any_executor() {
    let begun = Instant::now();
    let flow = vacation();
    futures_executor::block_on(async {
        let mut test = TestRun::of(&flow).fail("ask", 3, "the mail server is down").start(5).await.unwrap();
        test.timeline().await.ran(&[]);
        // 1 s, 2 s and 4 s of backoff.
        test.advance(7 * SECOND).await;
        let timeline = test.timeline().await;
        timeline.ran(&["ask"]);
        assert_eq!(timeline.attempts("ask"), 4);
        assert!(timeline.elapsed("ask").unwrap() <= 7 * SECOND, "{timeline}");
        assert!(matches!(test.status().await.unwrap(), WorkflowStatus::Waiting { .. }));
        test.advance(30 * DAY).await;
        assert!(matches!(test.status().await.unwrap(), WorkflowStatus::AwaitingSignal { .. }));
        test.send_event("approve", &3_u32).await.unwrap();
        assert_eq!(test.output().await.unwrap(), "3 days booked");
    });
    assert!(begun.elapsed() < Duration::from_secs(20), "it took {:?}", begun.elapsed());
}

#[tokio::test]
async fn timers_fire_in_order_each_at_its_own_time() {
    let mut test = TestRun::of(&vacation()).start(5).await.unwrap();
    let start = test.now();
    // At once beyond everything: the delay, then the wait's end seven days later.
    test.advance(100 * DAY).await;
    assert_eq!(test.output().await.unwrap(), "0 days booked");
    assert_eq!(test.timeline().await.elapsed("book").unwrap().as_secs(), 37 * DAY.as_secs());
    assert_eq!(test.now() - start, chrono::Duration::days(100));
    let mut test = TestRun::of(&vacation()).start(5).await.unwrap();
    assert_eq!(test.advance_to_next().await, Some(30 * DAY));
    assert_eq!(test.advance_to_next().await, Some(7 * DAY));
    assert_eq!(test.advance_to_next().await, None);
    assert_eq!(test.status().await.unwrap(), WorkflowStatus::Completed);
}

#[tokio::test]
async fn stubs_stand_in_by_path_or_by_id() {
    let flow = workflow! { name: "twice", steps: [book, length(text: String) { u32::try_from(text.len()).unwrap_or(0) }, book] }.unwrap();
    let both = TestRun::of(&flow).stub("book", |days: u32| async move { Ok("x".repeat(days as usize)) }).start(4).await.unwrap();
    assert_eq!(both.output().await.unwrap(), "4 days booked", "the node of this path is stubbed, and the other is as it was");
}

#[tokio::test]
async fn a_stub_for_nothing_or_of_another_type_says_so() {
    let error =
        TestRun::of(&vacation()).stub("pay", |x: u32| async move { Ok(x) }).fail("sleep", 1, "x").start(1).await.unwrap_err().to_string();
    assert!(["\"pay\"", "\"sleep\"", "ask, decide, book"].iter().all(|word| error.contains(word)), "{error}");
    let test = TestRun::of(&vacation()).stub("ask", |text: String| async move { Ok(text) }).start(1).await.unwrap();
    let error = test.output().await.unwrap_err().to_string();
    assert!(error.contains("could not decode the input of \"ask\" as a String"), "{error}");
}

#[tokio::test]
async fn joins_and_key_tasks_can_be_stubbed() {
    #[task]
    async fn key(days: u32) -> String {
        if days > 3 { "long" } else { "short" }.to_owned()
    }
    let flow = workflow! {
        name: "stubbed",
        steps: [
            ask || book,
            joined(outputs: BranchOutputs<_>) { outputs.get_by_id::<u32>("ask") },
            route key { "long" => [book], "short" => [book] },
            told(arm: BranchEnvelope<String>) { arm.branch },
        ]
    }
    .unwrap();
    let test = TestRun::of(&flow)
        .stub_join("joined", |outputs: BranchOutputs<_>| async move { Ok(u32::try_from(outputs.len()).unwrap() + 5) })
        .start(1)
        .await
        .unwrap();
    assert_eq!(test.output().await.unwrap(), "long");
    let test = TestRun::of(&flow).stub("key", |_: u32| async move { Ok("short".to_owned()) }).start(9).await.unwrap();
    assert_eq!(test.output().await.unwrap(), "short");
}

#[tokio::test]
async fn a_crash_repeats_only_what_was_not_stored() {
    let ran = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&ran);
    let hangs = move |days: u32| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            let kept = checkpoint("kept", async move { Ok(days + 1) }).await?;
            if first {
                std::future::pending::<()>().await;
            }
            Ok(kept)
        }
    };
    let flow = workflow! { name: "crashes", steps: [ask, middle(days: u32) { days }, book] }.unwrap();
    let mut test = TestRun::of(&flow).stub("middle", hangs).start(4).await.unwrap();
    assert_eq!(test.status().await.unwrap(), WorkflowStatus::InProgress);
    test.advance(365 * DAY).await;
    test.timeline().await.ran(&["ask"]);
    test.crash().await.unwrap();
    assert_eq!(test.output().await.unwrap(), "5 days booked");
    let timeline = test.timeline().await;
    timeline.ran(&["ask", "middle", "book"]);
    assert_eq!((timeline.attempts("ask"), ran.load(Ordering::SeqCst)), (1, 2));
}

#[tokio::test]
async fn a_timeout_fires_when_its_time_has_come() {
    #[task(timeout = "30s", retries = 1, backoff = "1m")]
    async fn slow(x: u32) -> u32 {
        if task_context!().is_some_and(|context| context.attempt == 1) {
            std::future::pending::<()>().await;
        }
        x
    }
    let flow = workflow! { name: "slow", steps: [slow] }.unwrap();
    let mut test = TestRun::of(&flow).start(1).await.unwrap();
    test.advance(29 * SECOND).await;
    assert_eq!(test.timeline().await.attempts("slow"), 0);
    test.advance(SECOND).await;
    assert_eq!(test.timeline().await.attempts("slow"), 1);
    test.advance(60 * SECOND).await;
    assert_eq!(test.output().await.unwrap(), 1);
}

#[tokio::test]
async fn control_reaches_a_run_at_any_time() {
    let mut test = TestRun::of(&vacation()).start(5).await.unwrap();
    test.pause().await.unwrap();
    test.advance(60 * DAY).await;
    assert!(matches!(test.status().await.unwrap(), WorkflowStatus::Paused { .. }));
    test.unpause().await.unwrap();
    assert!(matches!(test.status().await.unwrap(), WorkflowStatus::AwaitingSignal { .. }));
    test.cancel().await.unwrap();
    assert!(matches!(test.status().await.unwrap(), WorkflowStatus::Cancelled { .. }));
    assert!(test.output().await.is_err());
    assert!(test.send_event("approve", &1_u32).await.is_err());
    test.timeline().await.did_not_run("book");
}

#[tokio::test]
async fn what_waits_outside_of_the_test_can_be_waited_for() {
    let flow = workflow! {
        name: "thread",
        steps: [blocking(x: u32) { let doubled = tokio::task::spawn_blocking(move || 2 * x).await?; Ok(doubled) }, book]
    }
    .unwrap();
    let mut test = TestRun::of(&flow).start(2).await.unwrap();
    test.until_ended().await;
    assert_eq!(test.output().await.unwrap(), "4 days booked");
}

#[tokio::test]
async fn a_failed_assertion_shows_what_happened() {
    let mut test = TestRun::of(&vacation()).fail("ask", 9, "no answer").start(5).await.unwrap();
    test.advance(DAY).await;
    let timeline = test.timeline().await;
    let shown = timeline.to_string();
    assert!(["attempt_failed", "no answer", "attempt 4", "failed", "+0ns"].iter().all(|word| shown.contains(word)), "{shown}");
    let told = std::panic::catch_unwind(|| timeline.ran(&["ask"])).unwrap_err();
    assert!(told.downcast_ref::<String>().unwrap().contains("no answer"));
    assert_eq!(timeline.attempts("ask"), 4);
}
