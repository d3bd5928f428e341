//! Errors as JavaScript gets them: a kind, by which it chooses the class, and the text with all causes.

use std::error::Error;

use js_sys::{Object, Reflect};
use sayiir_core::InvalidInstanceId;
use sayiir_core::context::AttemptError;
use sayiir_core::error::{BoxError, WorkflowError, error_chain};
use sayiir_driver::DriveError;
use sayiir_persistence::{RunConflict, StoreError};
use wasm_bindgen::JsValue;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum EdgeError {
    /// The id is known, and the policy is to refuse; or it is none.
    #[error(transparent)]
    Conflict(#[from] RunConflict),
    /// The instance was started with another definition.
    #[error(transparent)]
    Mismatch(#[from] WorkflowError),
    /// No store can hold this id.
    #[error(transparent)]
    InvalidId(#[from] InvalidInstanceId),
    /// The id is unknown.
    #[error("instance {0:?} was not found")]
    NotFound(String),
    /// The instance is not in a state for that.
    #[error("{0}")]
    Refused(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The instance could not be driven.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// A running task was refused something.
    #[error(transparent)]
    Attempt(#[from] AttemptError),
    /// The call or the definition is wrong.
    #[error(transparent)]
    Wrong(BoxError),
}

impl EdgeError {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Conflict(RunConflict::AlreadyExists(_)) => "already_exists",
            Self::Conflict(RunConflict::DefinitionMismatch { .. }) | Self::Mismatch(_) => "definition_mismatch",
            Self::Conflict(RunConflict::Backend(_)) | Self::Store(_) | Self::Drive(_) | Self::Attempt(AttemptError::Store { .. }) => {
                "backend"
            }
            Self::Attempt(AttemptError::Over { .. }) => "attempt_over",
            Self::Attempt(_) => "sub_step_name",
            Self::Conflict(RunConflict::InvalidInstanceId(_)) | Self::InvalidId(_) => "invalid_id",
            Self::NotFound(_) => "not_found",
            Self::Refused(_) => "refused",
            Self::Wrong(_) => "wrong",
        }
    }
}

impl From<EdgeError> for JsValue {
    fn from(error: EdgeError) -> Self {
        let object = Object::new();
        let text = error_chain(&error as &(dyn Error + 'static));
        for (key, value) in [("kind", error.kind()), ("message", &*text)] {
            // A fresh object takes any key.
            let _ = Reflect::set(&object, &Self::from_str(key), &Self::from_str(value));
        }
        object.into()
    }
}
