//! Tasks, keys and contexts that the programs share.

use std::future::{Ready, ready};
use std::sync::Arc;

use sayiir::prelude::*;

pub(crate) fn context(name: &str) -> WorkflowContext<JsonCodec> {
    WorkflowContext::new(name, Arc::new(JsonCodec), Arc::new(()))
}

#[derive(Default)]
pub(crate) struct Double;

impl CoreTask for Double {
    type Input = u32;
    type Output = u32;
    type Future = Ready<Result<u32, BoxError>>;

    fn run(&self, input: u32) -> Self::Future {
        ready(Ok(2 * input))
    }
}

impl RegisterableTask for Double {
    fn task_id() -> &'static str {
        "double"
    }

    fn metadata() -> TaskMetadata {
        TaskMetadata { display_name: Some("Double it".to_owned()), tags: vec!["math".to_owned()], ..Default::default() }
    }
}

/// A task with a value in it.
pub(crate) struct Add(pub(crate) u32);

impl CoreTask for Add {
    type Input = u32;
    type Output = u32;
    type Future = Ready<Result<u32, BoxError>>;

    fn run(&self, input: u32) -> Self::Future {
        ready(Ok(input + self.0))
    }
}

impl RegisterableTask for Add {
    fn task_id() -> &'static str {
        "add"
    }
}

/// A loop's body: counts down to nothing.
#[derive(Default)]
pub(crate) struct Countdown;

impl CoreTask for Countdown {
    type Input = u32;
    type Output = LoopResult<u32>;
    type Future = Ready<Result<LoopResult<u32>, BoxError>>;

    fn run(&self, input: u32) -> Self::Future {
        ready(Ok(input.checked_sub(1).map_or(LoopResult::Done(0), LoopResult::Again)))
    }
}

impl RegisterableTask for Countdown {
    fn task_id() -> &'static str {
        "countdown"
    }
}

pub(crate) enum Size {
    Small,
    Large,
}

impl Size {
    pub(crate) fn of(number: u32) -> Self {
        if number < 10 { Self::Small } else { Self::Large }
    }
}

impl BranchKey for Size {
    fn as_key(&self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
        }
    }

    fn all_keys() -> &'static [&'static str] {
        &["small", "large"]
    }
}
