//! A workflow that one process stored is rebuilt by another from that one's own registry; what does not fit is a typed error.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use sayiir::core::workflow::{DefinitionFormat, WorkflowDefinition};
use sayiir::persistence::Store;
use sayiir::prelude::*;

/// Where the child process is to leave what it stores.
const PLACE: &str = "SAYIIR_REGISTRIES_PLACE";

type Rebuilt = SerializableWorkflow<JsonCodec, u32, (), String>;

fn file(place: &Path) -> PathBuf {
    place.join("registries.db")
}

fn version(version: &str) -> TaskMetadata {
    TaskMetadata { version: Some(version.to_owned()), ..TaskMetadata::default() }
}

/// What both processes have, each made by itself.
fn registry() -> TaskRegistry {
    TaskRegistry::with_codec(Arc::new(JsonCodec))
        .register_fn_with_metadata("price", |quantity: u32| async move { Ok(quantity * 5) }, version("1"))
        .register_fn("vat", |net: u32| async move { Ok(net / 5) })
        .register_fn("discount", |net: u32| async move { Ok(net / 10) })
        .register_join("sum", |o: BranchOutputs<JsonCodec>| async move { Ok(o.get_by_id::<u32>("vat")? + o.get_by_id::<u32>("discount")?) })
        .register_fn("print", |total: u32| async move { Ok(format!("{total} EUR")) })
        .build()
}

/// The workflow, of the tasks of a registry.
fn build(registry: TaskRegistry) -> Result<Rebuilt, BuildErrors> {
    WorkflowBuilder::new(WorkflowContext::new("invoice", Arc::new(JsonCodec), Arc::new(())))
        .with_existing_registry(registry)
        .then_registered::<u32>("price")
        .fork()
        .branch_registered("vat")
        .branch_registered("discount")
        .join_registered::<u32>("sum")
        .wait_for_signal("approval", "approve", None)
        .then_registered::<String>("print")
        .build()
}

#[tokio::test]
#[ignore = "a child process of the other tests"]
async fn child() {
    let Some(place) = std::env::var_os(PLACE).map(PathBuf::from) else { return };
    let workflow = build(registry()).unwrap();
    std::fs::write(place.join("definition.json"), serde_json::to_vec(&workflow.to_serializable()).unwrap()).unwrap();
    let runner = CheckpointingRunner::new(SqliteBackend::open(file(&place)).await.unwrap());
    let status = runner.run(&workflow, "i", 20).await.unwrap();
    assert!(matches!(status, WorkflowStatus::AwaitingSignal { .. }), "{status:?}");
}

/// What a process that has ended left: a definition, and on a store an instance of it that waits.
async fn left_behind() -> (tempfile::TempDir, WorkflowDefinition, SqliteBackend) {
    let place = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", "child", "--ignored"]).env(PLACE, place.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let definition = serde_json::from_slice(&std::fs::read(place.path().join("definition.json")).unwrap()).unwrap();
    let store = SqliteBackend::open(file(place.path())).await.unwrap();
    (place, definition, store)
}

#[tokio::test]
async fn another_process_rebuilds_it_and_brings_the_instance_to_its_end() {
    let (_place, definition, store) = left_behind().await;
    let rebuilt = build(registry()).unwrap().to_runnable(&definition).unwrap();
    let client = WorkflowClient::new(store.clone());
    client.send_event("i", "approve", "25").await.unwrap();
    assert_eq!(CheckpointingRunner::new(store).resume(&rebuilt, "i").await.unwrap(), WorkflowStatus::Completed);
    assert_eq!(client.wait_for(&rebuilt, "i", Some(Duration::ZERO)).await.unwrap(), "25 EUR");
    assert_eq!(client.get_task_result("i", "sum").await.unwrap().unwrap(), "30");
}

#[tokio::test]
async fn the_store_itself_keeps_what_is_needed_to_rebuild_it() {
    let (_place, definition, store) = left_behind().await;
    let kept = store.definition_document(definition.definition_hash).await.unwrap().unwrap();
    let kept: WorkflowDefinition = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept.format, DefinitionFormat::V2);
    assert!(kept.diff(&definition).is_empty());
    assert!(build(registry()).unwrap().to_runnable(&kept).is_ok());
}

/// The registry with one task replaced.
fn with(change: impl FnOnce(&mut TaskRegistry)) -> TaskRegistry {
    let mut registry = registry();
    change(&mut registry);
    registry
}

#[tokio::test]
async fn what_does_not_fit_is_said() {
    let (_place, definition, store) = left_behind().await;
    let runner = CheckpointingRunner::new(store);

    // A task that this process lacks.
    let names = ["price", "vat", "sum", "print"];
    let mut lacking = TaskRegistry::new();
    for name in names {
        lacking.register_fn(name, Arc::new(JsonCodec), |x: u32| async move { Ok(x) });
    }
    let errors = build(lacking).unwrap_err();
    assert_eq!(errors.into_vec(), [BuildError::TaskNotFound("discount".to_owned())]);

    // A task that the stored definition has under an id of another registry.
    let mut elsewhere = definition.clone();
    for node in elsewhere.nodes.iter_mut().filter(|node| node.path == "print") {
        node.registered_as = Some("print#2".to_owned());
    }
    let errors = build(registry()).unwrap().to_runnable(&elsewhere).unwrap_err();
    assert_eq!(errors.into_vec(), [BuildError::TaskNotFound("print#2".to_owned())]);

    // Under the same id, a task of other types: the definition is the same, the code is not.
    let other_types = with(|registry| {
        registry.register_fn("print", Arc::new(JsonCodec), |total: u64| async move { Ok(vec![total]) });
    });
    let errors = build(other_types).unwrap().to_runnable(&definition).unwrap_err();
    let told = BuildError::TaskTypes { task: "print".to_owned(), stored: "u32 -> String".to_owned(), here: "u64 -> Vec<u64>".to_owned() };
    assert_eq!(errors.into_vec(), [told]);

    // Under the same id, another version of a task: another definition.
    let other_version = with(|registry| assert!(registry.set_metadata("price", version("2"))));
    let other_version = build(other_version).unwrap();
    let errors = other_version.to_runnable(&definition).unwrap_err();
    let (expected, found) = (*other_version.definition_hash(), definition.definition_hash);
    assert_eq!(errors.iter().next(), Some(&BuildError::DefinitionMismatch { expected, found }));
    let changed = "the version of \"price\" changed from \"1\" to \"2\"";
    assert!(errors.to_string().ends_with(changed), "{errors}");

    // So it is refused for the instance, too, by the words that the store has kept.
    let error = runner.resume(&other_version, "i").await.unwrap_err();
    let RuntimeError::Workflow(WorkflowError::DefinitionMismatch { changes: Some(diff), .. }) = &error else { panic!("{error}") };
    assert_eq!(diff.to_string(), changed);
    assert!(diff.can_go_on_at("approval").is_yes(), "the version of a step that is long done does not matter there");
    let text = error.to_string();
    assert!(text.contains("mismatch") && text.contains(changed), "{text}");
    assert!(text.contains(&expected.to_hex()) && text.contains(&found.to_hex()), "{text}");
}

/// What the types of a stored definition cannot show, the payload does: the task fails and says so.
#[tokio::test]
async fn a_task_of_other_types_fails_on_what_it_cannot_read() {
    let (_place, _, store) = left_behind().await;
    let other_types = with(|registry| {
        registry.register_fn("print", Arc::new(JsonCodec), |total: Vec<String>| async move { Ok(total.concat()) });
    });
    let client = WorkflowClient::new(store.clone());
    client.send_event("i", "approve", "25").await.unwrap();
    let status = CheckpointingRunner::new(store).resume(&build(other_types).unwrap(), "i").await.unwrap();
    let WorkflowStatus::Failed(error) = status else { panic!("{status:?}") };
    assert!(error.contains("could not decode the input of \"print\" as a Vec<String>"), "{error}");
}
