//! What every definition is built with: its name, its codec, its metadata.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// A workflow's name, codec and metadata.
///
/// ```
/// use std::sync::Arc;
/// use sayiir_core::codec::JsonCodec;
/// use sayiir_core::context::WorkflowContext;
///
/// let context = WorkflowContext::new("orders", Arc::new(JsonCodec), Arc::new(()));
/// assert_eq!(&*context.workflow_id, "orders");
/// ```
pub struct WorkflowContext<C, M = ()> {
    /// The workflow's name.
    pub workflow_id: Arc<str>,
    /// What makes values payloads.
    pub codec: Arc<C>,
    /// What else the workflow's author says about it.
    pub metadata: Arc<M>,
    metadata_json: Option<Arc<str>>,
}

impl<C, M> WorkflowContext<C, M> {
    /// A context whose metadata tasks can read as JSON.
    pub fn new(name: impl Into<String>, codec: Arc<C>, metadata: Arc<M>) -> Self
    where
        M: Serialize,
    {
        let metadata_json = serde_json::to_string(&*metadata).ok().map(Arc::from);
        Self { metadata_json, ..Self::opaque(name, codec, metadata) }
    }

    /// A context whose metadata has no form that tasks could read.
    pub fn opaque(name: impl Into<String>, codec: Arc<C>, metadata: Arc<M>) -> Self {
        Self { workflow_id: Arc::from(name.into()), codec, metadata, metadata_json: None }
    }

    /// The metadata as JSON, if it can be written so.
    pub fn metadata_json(&self) -> Option<&Arc<str>> {
        self.metadata_json.as_ref()
    }
}

impl<C, M> Clone for WorkflowContext<C, M> {
    fn clone(&self) -> Self {
        let Self { workflow_id, codec, metadata, metadata_json } = self;
        Self {
            workflow_id: Arc::clone(workflow_id),
            codec: Arc::clone(codec),
            metadata: Arc::clone(metadata),
            metadata_json: metadata_json.clone(),
        }
    }
}

impl<C, M> fmt::Debug for WorkflowContext<C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workflow_id, codec: _, metadata: _, metadata_json } = self;
        f.debug_struct("WorkflowContext").field("workflow_id", workflow_id).field("metadata", metadata_json).finish_non_exhaustive()
    }
}
