//! Steps in place, in each form that their body may have, and routes behind signals.

use std::sync::Arc;
use std::time::Duration;

use sayiir::prelude::*;
use sayiir::testing::TestRun;

fn parsed(text: &str) -> Result<u32, std::num::ParseIntError> {
    text.parse()
}

#[task]
async fn plus_one(x: u32) -> u32 {
    x + 1
}

/// `?` may stand in a body whose end is a plain value.
#[tokio::test]
async fn a_step_may_use_the_question_mark_and_end_with_a_value() {
    let flow = workflow! {
        name: "forms",
        steps: [
            sum(text: String) { parsed(&text)? + parsed("1")? },
            shown(x: u32) { format!("{}", parsed(&x.to_string())?) },
            last(text: String) { let number = parsed(&text)?; 2 * number },
            pair(x: u32) { (x, parsed("3")?) },
            added((one, other): (u32, u32)) { one + other },
            early(x: u32) { if x == 0 { return Err("nothing".into()); } Ok(x) },
            spawned(x: u32) { tokio::spawn(async move { parsed(&x.to_string()) }).await? },
            result(x: u32) { parsed(&x.to_string()) },
            other_error(x: u32) { x.checked_add(1).ok_or("too much") },
            changed(mut x: u32) { x += 1; x },
            plus_one || again(x: u32) { x },
            both(outputs: BranchOutputs<_>) { outputs.get::<PlusOneTask>()? + outputs.get_by_id::<u32>("again")? },
        ],
    }
    .unwrap();
    assert_eq!(flow.run_once("3".to_owned()).await.unwrap(), 27);
    let error = flow.run_once("x".to_owned()).await.unwrap_err().to_string();
    assert!(error.contains("sum: attempt 1 failed: invalid digit"), "{error}");
}

#[derive(BranchKey)]
enum Answer {
    Yes,
    No,
}

/// A route takes as many type parameters behind a signal as anywhere.
#[tokio::test]
async fn a_route_may_stand_behind_a_signal() {
    let context = |name| WorkflowContext::new(name, Arc::new(JsonCodec), Arc::new(()));
    let typed = WorkflowBuilder::new(context("typed"))
        .then("ask", |x: u32| async move { Ok(x) })
        .wait_for_signal("wait", "answer", None)
        .route::<u32, Answer, _, _>(|text: String| async move { Ok(if text == "yes" { Answer::Yes } else { Answer::No }) })
        .branch(Answer::Yes, |arm| arm.then("length", |text: String| async move { Ok(u32::try_from(text.len())?) }))
        .branch(Answer::No, |arm| arm.delay("pause", Duration::from_secs(1)).then("none", |_: String| async move { Ok(0) }))
        .done()
        .build()
        .unwrap();
    let mut test = TestRun::of(&typed).start(1).await.unwrap();
    test.send_event("answer", &"yes").await.unwrap();
    let BranchEnvelope { branch, result } = test.output().await.unwrap();
    assert_eq!((branch.as_str(), result), ("yes", 3));
    let loose = WorkflowBuilder::new(context("loose"))
        .then("ask", |x: u32| async move { Ok(x) })
        .wait_for_signal("wait", "answer", None)
        .route_str::<String, _, _>(|text: String| async move { Ok(text) })
        .branch("yes", |arm| arm.then("same", |text: String| async move { Ok(text) }))
        .default_branch(|arm| arm.then("other", |text: String| async move { Ok(format!("not {text}")) }))
        .done()
        .build()
        .unwrap();
    let mut test = TestRun::of(&loose).start(1).await.unwrap();
    test.send_event("answer", &"no").await.unwrap();
    assert_eq!(test.output().await.unwrap().result, "not no");
}
