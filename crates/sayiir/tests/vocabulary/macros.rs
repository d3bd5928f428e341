//! `#[task]`, `workflow!` and `#[derive(BranchKey)]`, as a user of those names writes them.

use std::sync::Arc;
use std::time::Duration;

use sayiir::prelude::*;

/// Doubles.
#[task]
async fn double(x: u32) -> u32 {
    2 * x
}

#[task(
    id = "charge_card",
    display_name = "Charge",
    description = "Charges a card",
    timeout = "30s",
    retries = 3,
    backoff = "100ms",
    backoff_multiplier = 3.0,
    max_delay = "1m",
    tags = "io",
    tags = "money",
    priority = 1,
    version = "2"
)]
async fn charge(euros: u32) -> Result<String, BoxError> {
    if euros == 0 {
        return Err("nothing to charge".into());
    }
    Ok(format!("charged {euros}"))
}

#[task]
fn shout(text: String) -> Result<String, std::num::ParseIntError> {
    Ok(text.to_uppercase())
}

#[task]
fn now() -> u32 {
    7
}

struct Prefix(&'static str);

#[task(tags = ["a", "b"])]
async fn greet(#[inject] prefix: Arc<Prefix>, name: String, #[inject] times: usize) -> Result<String, BoxError> {
    Ok(vec![format!("{} {name}", prefix.0); times].join(", "))
}

fn deps() -> Deps {
    Deps::builder().insert(Arc::new(Prefix("hello"))).insert(2_usize).build()
}

#[tokio::test]
async fn a_task_is_a_struct_beside_its_function() {
    assert_eq!(double(4).await, 8);
    assert_eq!(charge(4).await.unwrap(), "charged 4");
    assert_eq!(shout("a".to_owned()).unwrap(), "A");
    assert_eq!((DoubleTask::task_id(), ChargeTask::task_id()), ("double", "charge_card"));
    assert_eq!(DoubleTask::new().run(3).await.unwrap(), 6);
    assert_eq!(NowTask::default().run(()).await.unwrap(), now());
    let metadata = ChargeTask::metadata();
    assert_eq!(metadata.display_name.as_deref(), Some("Charge"));
    assert_eq!(metadata.description.as_deref(), Some("Charges a card"));
    assert_eq!(metadata.timeout, Some(Duration::from_secs(30)));
    let retries = RetryPolicy {
        max_retries: 3,
        initial_delay: Duration::from_millis(100),
        backoff_multiplier: 3.0,
        max_delay: Some(Duration::from_mins(1)),
    };
    assert_eq!(metadata.retries, Some(retries));
    assert_eq!((metadata.tags, metadata.priority), (vec!["io".to_owned(), "money".to_owned()], Some(Priority::Critical)));
    assert_eq!(metadata.version.as_deref(), Some("2"));
    assert_eq!(GreetTask::metadata().tags, ["a", "b"]);
    assert_eq!(DoubleTask::metadata(), TaskMetadata::default());
}

#[tokio::test]
async fn what_a_task_needs_is_injected() {
    let greeting = GreetTask::new(Arc::new(Prefix("hi")), 1).run("Ada".to_owned()).await.unwrap();
    assert_eq!(greeting, "hi Ada");
    assert_eq!(GreetTask::from_deps(&deps()).run("Ada".to_owned()).await.unwrap(), "hello Ada, hello Ada");
    assert_eq!(GreetTask::verify_deps(&deps()), []);
    let missing = GreetTask::verify_deps(&Deps::new());
    assert_eq!(missing.len(), 2);
    assert!(missing[0].type_name.contains("Prefix"), "{missing:?}");
}

#[test]
fn a_registry_takes_tasks_from_deps_or_as_they_are() {
    let (codec, mut registry) = (Arc::new(JsonCodec), TaskRegistry::new());
    let missing = registry.register_from_deps::<GreetTask, _>(Arc::clone(&codec), &Deps::new()).unwrap_err();
    assert_eq!((missing.len(), registry.len()), (2, 0), "checked before it changes anything");
    registry.register_from_deps::<GreetTask, _>(Arc::clone(&codec), &deps()).unwrap();
    ChargeTask::register(&mut registry, codec, ChargeTask::new());
    assert_eq!(registry.task_ids().collect::<Vec<_>>(), ["charge_card", "greet"]);
    assert_eq!(registry.get_metadata("charge_card"), Some(&ChargeTask::metadata()));
}

#[test]
fn deps_are_found_by_type() {
    let mut deps = Deps::builder().insert(1_u8).insert("one").merge(Deps::builder().insert(2_u16).build()).build();
    assert_eq!((deps.get::<u8>(), deps.get::<u16>(), deps.get::<u32>()), (Some(&1), Some(&2), None));
    assert!(deps.contains::<&str>() && !deps.contains::<String>());
    assert_eq!(*deps.expect::<u16>(), 2);
    deps.merge(Deps::builder().insert(9_u8).build());
    assert_eq!(deps.try_get::<u8>(), Ok(&9));
    let missing = deps.try_get::<Vec<u64>>().unwrap_err();
    assert!(missing.to_string().contains("Vec<u64>"), "{missing}");
    assert!(format!("{deps:?}").contains("u16"));
}

#[tokio::test]
async fn steps_stand_one_behind_the_other() {
    let order = workflow! {
        name: "order",
        steps: [double, half(x: u32) { x / 2 }, charge, shout]
    }
    .unwrap();
    assert_eq!(order.run_once(5).await.unwrap(), "CHARGED 5");
    let error = order.run_once(0).await.unwrap_err().to_string();
    assert!(error.contains("nothing to charge"), "{error}");
    let ids: Vec<_> = order.iter_nodes().map(|node| node.id.clone()).collect();
    assert_eq!(ids, ["double", "half", "charge_card", "shout"]);
}

#[tokio::test]
async fn an_inline_step_is_a_value_or_a_result() {
    let flow = workflow! {
        name: "inline",
        version: "3",
        steps: [
            parse(text: String) { let number: u32 = text.parse()?; Ok(number) },
            checked(x) { if x > 9 { Err("too large".into()) } else { Ok(x + 1) } },
            plain(x) { x + 1 },
            text(x) { u8::try_from(x) },
        ],
    }
    .unwrap();
    assert_eq!(flow.plan().version().as_ref(), "3");
    assert_eq!(flow.run_once("7".to_owned()).await.unwrap(), 9_u8);
    assert!(flow.run_once("x".to_owned()).await.is_err());
    assert!(flow.run_once("10".to_owned()).await.unwrap_err().to_string().contains("too large"));
}

#[task]
async fn join(results: NamedBranchResults) -> Result<String, BoxError> {
    Ok(results.as_slice().iter().map(|(name, bytes)| format!("{name}={}", String::from_utf8_lossy(bytes))).collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn forks_are_joined_by_the_step_behind_them() {
    let expected = "double=8 charge_card=\"charged 4\"";
    let flow = workflow! { name: "fork", steps: [double || charge, join] }.unwrap();
    assert_eq!(flow.run_once(4).await.unwrap(), expected);
    let flow = workflow! { name: "fork", steps: [(double || charge), join, shout] }.unwrap();
    assert_eq!(flow.run_once(4).await.unwrap(), expected.to_uppercase());
    let flow = workflow! {
        name: "chains",
        steps: [
            (double, delay "1ms", charge) || named: [charge, shout] || once(x: u32) { x } || both: (double || charge, join),
            all(outputs: BranchOutputs<_>) { Ok((outputs.get_by_id::<String>("named")?, outputs.get_by_id::<u32>("once")?, outputs.len())) }
        ]
    }
    .unwrap();
    assert_eq!(flow.run_once(4).await.unwrap(), ("CHARGED 4".to_owned(), 4, 4));
}

#[task]
async fn countdown(x: u32) -> LoopResult<u32> {
    if x > 1 { LoopResult::Again(x - 1) } else { LoopResult::Done(x) }
}

const MOST: u32 = 10;

#[tokio::test]
async fn loops_run_tasks_closures_and_steps() {
    let flow = workflow! {
        name: "loops",
        steps: [
            loop countdown 10,
            loop again(x: u32) { if x < 5 { LoopResult::Again(x + 1) } else { LoopResult::Done(x) } } MOST,
            loop "steps" [double, delay "1ms", judge(x: u32) { if x < 50 { LoopResult::Again(x) } else { LoopResult::Done(x) } }] (MOST + 1),
            loop countdown 3 exit_with_last,
        ]
    }
    .unwrap();
    assert_eq!(flow.run_once(5).await.unwrap(), 77);
    let flow = workflow! { name: "loops", steps: [loop countdown 3] }.unwrap();
    assert!(flow.run_once(9).await.unwrap_err().to_string().contains("not done after 3"));
}

#[derive(BranchKey)]
enum Size {
    Small,
    #[branch_key("big one")]
    Large,
    VeryLarge,
}

#[task]
async fn size(x: u32) -> String {
    let size = match x {
        0..10 => Size::Small,
        10..100 => Size::Large,
        _ => Size::VeryLarge,
    };
    size.as_key().to_owned()
}

#[tokio::test]
async fn routes_have_an_arm_for_every_key() {
    assert_eq!(Size::all_keys(), ["small", "big one", "very_large"]);
    let flow = workflow! {
        name: "route",
        steps: [
            route size -> Size {
                Small => [charge],
                Large => [double, charge, shout],
                VeryLarge => [loop countdown 200, route size { "small" => [charge], _ => [charge, shout] }, opened(inner: BranchEnvelope<String>) { inner.result }],
            },
            told(outer: BranchEnvelope<String>) { format!("{}: {}", outer.branch, outer.result) },
        ]
    }
    .unwrap();
    assert_eq!(flow.run_once(4).await.unwrap(), "small: charged 4");
    assert_eq!(flow.run_once(40).await.unwrap(), "big one: CHARGED 80");
    assert_eq!(flow.run_once(140).await.unwrap(), "very_large: charged 1");
    let flow = workflow! { name: "default", steps: [route size -> Size { Large => [charge], _ => [charge, shout] }] }.unwrap();
    assert_eq!(flow.run_once(4).await.unwrap().result, "CHARGED 4");
}

#[tokio::test]
async fn delays_signals_and_children_stand_anywhere() {
    let child = workflow! { name: "child", steps: [charge, shout] }.unwrap();
    let flow = workflow! {
        name: "waits",
        input: u32,
        steps: [
            delay "1ms",
            delay "named" "2ms",
            signal "go" timeout "1ms",
            quantity(came: Option<u32>) { came.unwrap_or(4) },
            flow child.clone() ,
            length(text: String) { u32::try_from(text.len()).unwrap_or(0) },
            (signal "wait" "never" timeout "1ms", other(came: Option<u32>) { came.unwrap_or(1) }) || (flow &child) || double,
            sum(outputs: BranchOutputs<_>) { Ok(outputs.get_by_id::<u32>("wait")? + outputs.get_by_id::<u32>("double")?) },
        ]
    }
    .unwrap();
    let paths: Vec<_> = flow.iter_nodes().map(|node| node.id.clone()).collect();
    assert!(["delay", "named", "go", "child", "wait"].iter().all(|id| paths.contains(&(*id).to_owned())), "{paths:?}");
    assert_eq!(flow.run_once(1).await.unwrap(), 19);
}

#[tokio::test]
async fn deps_and_registries_give_the_tasks() {
    let flow: SerializableWorkflow<JsonCodec, String, (), String> =
        workflow! { name: "greet", deps: &deps(), steps: [greet, shout] }.unwrap();
    assert_eq!(flow.run_once("Ada".to_owned()).await.unwrap(), "HELLO ADA, HELLO ADA");
    let child = workflow! { name: "child", deps: &deps(), steps: [greet] }.unwrap();
    let parent = workflow! { name: "parent", deps: &deps(), steps: [greet, flow child] }.unwrap();
    assert!(parent.run_once("Ada".to_owned()).await.unwrap().starts_with("hello hello Ada"));
    let mut registry = TaskRegistry::new();
    registry.register_from_deps::<GreetTask, _>(Arc::new(JsonCodec), &deps()).unwrap();
    let held = workflow! { name: "held", registry: registry.clone(), steps: [greet] }.unwrap();
    assert_eq!(held.run_once("Bo".to_owned()).await.unwrap(), "hello Bo, hello Bo");
    let errors = workflow! { name: "both", registry: registry, deps: &deps(), steps: [greet] }.unwrap_err().into_vec();
    assert_eq!(errors, [BuildError::RegistryDepsConflict { task_id: "greet" }]);
    let errors = workflow! { name: "none", steps: [greet, greet] }.unwrap_err();
    let missing = errors.iter().filter(|error| matches!(error, BuildError::MissingDep { task_id: "greet", .. })).count();
    assert_eq!((errors.len(), missing), (4, 4), "all of them: {errors}");
}

#[tokio::test]
async fn codec_and_metadata_may_be_given() {
    let flow = workflow! {
        name: "told",
        codec: JsonCodec,
        metadata: ("region", "eu"),
        steps: [region(x: u32) { let context = task_context!().ok_or("no context")?; Ok(format!("{x} {}", context.workflow_metadata_json.as_deref().unwrap_or("-"))) }],
    }
    .unwrap();
    assert_eq!(flow.run_once(1).await.unwrap(), "1 [\"region\",\"eu\"]");
}

#[derive(Debug)]
enum PayError {
    Refused,
    Busy,
}

impl std::fmt::Display for PayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Refused => "refused",
            Self::Busy => "busy",
        })
    }
}

impl std::error::Error for PayError {}

impl TaskError for PayError {
    fn retry(&self) -> Retry {
        match self {
            Self::Refused => Retry::Never,
            Self::Busy => Retry::After(Duration::from_millis(1)),
        }
    }
}

#[task(retries = 3, backoff = "7d")]
async fn pay(euros: u32) -> Result<u32, PayError> {
    match (euros, task_context!().map_or(1, |context| context.attempt)) {
        (0, _) => Err(PayError::Refused),
        (_, 1) => Err(PayError::Busy),
        (_, attempt) => Ok(attempt),
    }
}

#[tokio::test]
async fn an_error_type_of_ones_own_says_whether_to_retry() {
    let flow = workflow! { name: "pay", steps: [pay] }.unwrap();
    let error = flow.run_once(0).await.unwrap_err().to_string();
    assert!(error.contains("attempt 1 failed") && error.contains("refused"), "{error}");
    assert_eq!(flow.run_once(1).await.unwrap(), 2, "it waits a millisecond, not a week");
    let flow = workflow! { name: "pay", steps: [inline(x: u32) { if x == 0 { Err(advised(PayError::Refused)) } else { Ok(x) } }] }.unwrap();
    assert!(flow.run_once(0).await.unwrap_err().to_string().contains("refused"));
}

#[tokio::test]
async fn a_macro_workflow_runs_on_a_store_like_any_other() {
    let store = Arc::new(InMemoryBackend::new());
    let flow = workflow! { name: "stored", steps: [double || charge, join, shout] }.unwrap();
    let runner = CheckpointingRunner::from_shared(Arc::clone(&store));
    assert_eq!(runner.run(&flow, "i", 2).await.unwrap(), WorkflowStatus::Completed);
    let client = WorkflowClient::from_shared(store);
    assert_eq!(client.get_task_result_of::<ChargeTask>("i").await.unwrap().as_deref(), Some(&b"\"charged 2\""[..]));
}

mod billing {
    pub(crate) mod cards {
        use sayiir::prelude::*;

        /// A public task of another module.
        #[task(id = "r#type-of-card")]
        pub(crate) async fn r#type(number: u32) -> Result<u32, BoxError> {
            Ok(number % 10)
        }
    }
}

#[tokio::test]
async fn tasks_of_other_modules_and_children_of_any_expression() {
    let child = || workflow! { name: "inner", steps: [double] }.unwrap();
    let flow = workflow! {
        name: format!("{}-{}", "made", "up"),
        steps: [billing::cards::r#type, flow (child()), loop billing_countdown(x: u32) { LoopResult::Done(x) } 3],
    }
    .unwrap();
    assert_eq!(flow.workflow_id(), "made-up");
    assert_eq!(flow.run_once(47).await.unwrap(), 14);
    assert_eq!(billing::cards::r#type(47).await.unwrap(), 7);
    assert_eq!(billing::cards::TypeTask::task_id(), "r#type-of-card");
}

#[tokio::test]
async fn string_keys_may_say_so() {
    let flow = workflow! { name: "text keys", steps: [route size -> String { "small" => [double], _ => [charge_less] }] }.unwrap();
    assert_eq!(flow.run_once(4).await.unwrap().result, 8);
    assert_eq!(flow.run_once(40).await.unwrap().branch, "big one");
}

#[task]
async fn charge_less(x: u32) -> u32 {
    x / 2
}

fn refuses(euros: u32) -> Result<u32, PayError> {
    if euros == 0 { Err(PayError::Refused) } else { Ok(euros) }
}

/// Inline steps have no retry policy of their own, so what they ask for is seen where a registry holds them.
#[tokio::test]
async fn the_error_of_an_inline_step_says_whether_to_retry() {
    let flow = workflow! { name: "pay", registry: TaskRegistry::new(), steps: [inline(x: u32) { refuses(x) }] }.unwrap();
    let input = |text: &'static str| sayiir::core::task::TaskInput::Value(bytes::Bytes::from_static(text.as_bytes()));
    let task = flow.registry().get("inline").unwrap();
    assert!(task.run(input("0")).await.unwrap_err().is::<DoNotRetry>());
    assert_eq!(task.run(input("7")).await.unwrap(), "7");
}

#[tokio::test]
async fn an_inline_step_takes_what_is_around_it_along() {
    fn build(factor: u32) -> Result<Workflow<JsonCodec, u32, (), u32>, BuildErrors> {
        workflow! { name: "around", steps: [scale(x: u32) { x * factor }, halve(x: u32) { Ok(x / 2) }] }
    }
    assert_eq!(build(6).unwrap().run_once(3).await.unwrap(), 9);
}

#[tokio::test]
async fn the_step_behind_a_child_that_ends_with_a_signal_takes_the_payload() {
    let child = workflow! { name: "child", steps: [double, signal "go" timeout "1ms"] }.unwrap();
    let flow = workflow! { name: "parent", steps: [flow &child, took(came: Option<u32>) { came.unwrap_or(5) }, flow child] }.unwrap();
    let out: &Workflow<JsonCodec, u32, (), sayiir::core::workflow::Untyped> = &flow;
    assert_eq!(out.run_once(1).await.unwrap().as_bytes(), "null");
}
