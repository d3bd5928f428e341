//! What the builder in JavaScript makes is what the core makes of it: one definition, with the same paths and the same hash.
#![cfg(feature = "json")]
#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::sync::Arc;

use bytes::Bytes;
use sayiir_core::error::BoxError;
use sayiir_core::future::BoxFuture;
use sayiir_core::task::{ErasedTask, TaskInput};
use sayiir_core::workflow::Outline;
use serde::Deserialize;

/// Written by `bindings/flow-js/test/hash.test.ts`.
const GOLDEN: &str = include_str!("../../../bindings/flow-js/test/golden/definitions.json");

#[derive(Deserialize)]
struct Golden {
    name: String,
    definition: Outline,
    paths: Vec<String>,
    hash: String,
}

struct Nothing;

impl ErasedTask for Nothing {
    fn run(&self, _input: TaskInput) -> BoxFuture<'static, Result<Bytes, BoxError>> {
        Box::pin(async { Ok(Bytes::from_static(b"null")) })
    }
}

#[test]
fn definitions_from_javascript_have_the_paths_and_the_hash_that_they_have_here() {
    let all: Vec<Golden> = serde_json::from_str(GOLDEN).unwrap();
    assert!(all.len() >= 10, "{} definitions", all.len());
    let nothing: Arc<dyn ErasedTask> = Arc::new(Nothing);
    for Golden { name, definition, paths, hash } in all {
        let workflow = definition.build(&|_path: &str, _id: &str| Some(Arc::clone(&nothing))).unwrap();
        let plan = workflow.plan();
        assert_eq!(plan.nodes().iter().map(|node| &*node.path).collect::<Vec<_>>(), paths, "{name}");
        assert_eq!(plan.hash().to_hex(), hash, "{name}");
    }
}
