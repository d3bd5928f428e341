//! Two steps of the builder that do not fit.
use sayiir::prelude::*;

#[task]
async fn number(x: u32) -> u32 {
    x
}

#[task]
async fn text(x: u32) -> String {
    x.to_string()
}

use std::sync::Arc;

fn main() {
    let _ = WorkflowBuilder::new(WorkflowContext::new("w", Arc::new(JsonCodec), Arc::new(())))
        .then("number", |x: u32| async move { Ok(x) })
        .then_task::<ShoutTask>()
        .build();
}

#[task]
async fn shout(text: String) -> String {
    text
}
