//! A compiled workflow as drivers see it, whatever its types.

use std::sync::Arc;

use crate::future::{MaybeSend, MaybeSync};
use crate::plan::{NodeIx, Payloads, Plan};
use crate::task::ErasedTask;

/// A plan with the code that runs at its nodes.
pub trait RunnableWorkflow: MaybeSend + MaybeSync + 'static {
    /// The graph.
    fn plan(&self) -> &Plan;

    /// What happens to payloads between nodes.
    fn payloads(&self) -> &dyn Payloads;

    /// The task, join task or key task of a node; `None` if the node runs none or this process has no code for it.
    fn task(&self, node: NodeIx) -> Option<&Arc<dyn ErasedTask>>;

    /// The workflow's metadata as JSON, if it has any that can be written so.
    fn metadata_json(&self) -> Option<&Arc<str>>;
}
