//! What is said to a caller whose workflow is not the one that an instance was started with.

use std::sync::Arc;

use sayiir_core::DefinitionHash;
use sayiir_core::error::{CodecError, WorkflowError};
use sayiir_core::plan::Plan;
use sayiir_core::workflow::{DefinitionDiff, WorkflowDefinition};
use sayiir_persistence::Store;

use crate::error::RuntimeError;

/// The refusal of a workflow for an instance of the definition `found`: another codec, or what else has changed since.
pub(crate) async fn mismatch(store: &dyn Store, plan: &Plan, instance_id: &str, found: DefinitionHash) -> RuntimeError {
    refusal(plan, instance_id, found, changes(store, plan, found).await)
}

/// Refuses to read the payloads of an instance of the definition `found` if they are known to be of another codec. Another
/// version of the workflow may give the same output.
pub(crate) async fn check_codec(store: &dyn Store, plan: &Plan, instance_id: &str, found: DefinitionHash) -> Result<(), RuntimeError> {
    if *plan.hash() == found {
        return Ok(());
    }
    match changes(store, plan, found).await {
        Some(changes) if changes.codecs().is_some() => Err(refusal(plan, instance_id, found, Some(changes))),
        Some(_) | None => Ok(()),
    }
}

fn refusal(plan: &Plan, instance_id: &str, found: DefinitionHash, changes: Option<DefinitionDiff>) -> RuntimeError {
    let codecs = changes.as_ref().and_then(DefinitionDiff::codecs).map(|(stored, used)| (stored.to_owned(), used.to_owned()));
    let (instance_id, changes) = (Some(Arc::from(instance_id)), changes.map(Box::new));
    let error = WorkflowError::DefinitionMismatch { instance_id, expected: *plan.hash(), found, changes };
    match codecs {
        Some((stored, used)) => CodecError::Mismatch { stored, used, source: error.into() }.into(),
        None => error.into(),
    }
}

/// What changed since, if the store has kept the definition and can be asked: the refusal stands without it.
async fn changes(store: &dyn Store, plan: &Plan, found: DefinitionHash) -> Option<DefinitionDiff> {
    let document = store.definition_document(found).await.ok().flatten()?;
    let stored: WorkflowDefinition = serde_json::from_str(&document).ok()?;
    Some(stored.diff(&WorkflowDefinition::of(plan)))
}
