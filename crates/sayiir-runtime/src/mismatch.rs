//! What is said to a caller whose workflow is not the one that an instance was started with.

use sayiir_core::DefinitionHash;
use sayiir_core::error::{CodecError, WorkflowError};
use sayiir_core::plan::Plan;
use sayiir_core::workflow::{DefinitionDiff, WorkflowDefinition};
use sayiir_persistence::Store;

use crate::error::RuntimeError;

/// The refusal of a workflow for an instance of the definition `found`: another codec, or what else has changed since.
pub(crate) async fn mismatch(store: &dyn Store, plan: &Plan, found: DefinitionHash) -> RuntimeError {
    let changes = changes(store, plan, found).await.map(Box::new);
    let codecs = changes.as_ref().and_then(|changes| changes.codecs()).map(|(stored, used)| (stored.to_owned(), used.to_owned()));
    let error = WorkflowError::DefinitionMismatch { expected: *plan.hash(), found, changes };
    match codecs {
        Some((stored, used)) => CodecError::Mismatch { stored, used, source: error.into() }.into(),
        None => error.into(),
    }
}

/// Refuses to read the payloads of an instance of the definition `found` if they are known to be of another codec. Another
/// version of the workflow may give the same output.
pub(crate) async fn check_codec(store: &dyn Store, plan: &Plan, found: DefinitionHash) -> Result<(), RuntimeError> {
    if *plan.hash() == found {
        return Ok(());
    }
    match mismatch(store, plan, found).await {
        error @ RuntimeError::Codec(_) => Err(error),
        _ => Ok(()),
    }
}

/// What changed since, if the store has kept the definition and can be asked: the refusal stands without it.
async fn changes(store: &dyn Store, plan: &Plan, found: DefinitionHash) -> Option<DefinitionDiff> {
    let document = store.definition_document(found).await.ok().flatten()?;
    let stored: WorkflowDefinition = serde_json::from_str(&document).ok()?;
    Some(stored.diff(&WorkflowDefinition::of(plan)))
}
