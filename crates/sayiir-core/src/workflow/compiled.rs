//! A compiled workflow: a plan with the code at its nodes, and the types at its two ends.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;

use super::code::Program;
use super::{NodeInfo, RunnableWorkflow, Untyped, WorkflowDefinition, node_info};
use crate::codec::Codec;
use crate::codec::sealed::EncodeValue;
use crate::context::WorkflowContext;
use crate::error::{BoxError, CodecError};
use crate::future::{MaybeSend, MaybeSync};
use crate::ids::DefinitionHash;
use crate::plan::{NodeIx, Payloads, Plan};
use crate::task::ErasedTask;

/// A workflow that can run: made by a [`WorkflowBuilder`](super::WorkflowBuilder). Cheap to clone.
///
/// `Out` is what it gives; [`Untyped`] where it ends with a wait for a signal.
///
/// ```
/// use std::sync::Arc;
/// use sayiir_core::prelude::*;
///
/// let context = WorkflowContext::new("order", Arc::new(JsonCodec), Arc::new(()));
/// let order: Workflow<JsonCodec, u32, (), String> =
///     WorkflowBuilder::new(context).then("charge", |euros: u32| async move { Ok(format!("{euros} charged")) }).build()?;
/// assert_eq!(order.workflow_id(), "order");
/// assert!(order.to_mermaid().contains("charge"));
/// # Ok::<(), BuildErrors>(())
/// ```
pub struct Workflow<C, Input, M = (), Out = Untyped> {
    pub(super) program: Arc<Program<C>>,
    pub(super) context: WorkflowContext<C, M>,
    pub(super) decode: fn(&C, Bytes) -> Result<Out, BoxError>,
    pub(super) input: PhantomData<fn(Input)>,
}

impl<C, Input, M, Out> Workflow<C, Input, M, Out> {
    /// The workflow's name.
    pub fn workflow_id(&self) -> &str {
        self.program.plan.name()
    }

    /// The definition's identity.
    pub fn definition_hash(&self) -> &DefinitionHash {
        self.program.plan.hash()
    }

    /// Name, codec and metadata.
    pub fn context(&self) -> &WorkflowContext<C, M> {
        &self.context
    }

    /// The codec of all payloads.
    pub fn codec(&self) -> &Arc<C> {
        &self.context.codec
    }

    /// What the workflow's author says about it.
    pub fn metadata(&self) -> &Arc<M> {
        &self.context.metadata
    }

    /// The graph.
    pub fn plan(&self) -> &Plan {
        &self.program.plan
    }

    /// The definition as data, to be compared with another.
    pub fn definition(&self) -> WorkflowDefinition {
        WorkflowDefinition::of(&self.program.plan)
    }

    /// Every node, a container before what it contains. A loop around a single task is one node.
    pub fn iter_nodes(&self) -> impl Iterator<Item = NodeInfo> + use<'_, C, Input, M, Out> {
        node_info::of_program(&self.program).into_iter()
    }

    /// The graph as a Mermaid flowchart.
    pub fn to_mermaid(&self) -> String {
        self.program.plan.to_mermaid()
    }

    /// Makes an input the payload that the workflow starts with.
    pub fn encode_input(&self, input: &Input) -> Result<Bytes, CodecError>
    where
        C: Codec + EncodeValue<Input>,
    {
        self.context.codec.encode(input).map_err(|source| CodecError::Encode { type_name: type_name::<Input>(), source })
    }

    /// Makes the payload that the workflow ended with its output.
    pub fn decode_output(&self, bytes: Bytes) -> Result<Out, CodecError> {
        (self.decode)(&self.context.codec, bytes).map_err(|source| {
            let context = format!("the output of the workflow {:?}", self.workflow_id());
            CodecError::Decode { type_name: type_name::<Out>(), context, source }
        })
    }

    /// The same workflow without its output type, as `Workflow<C, Input, M>` spells it.
    pub fn untyped(&self) -> Workflow<C, Input, M> {
        Workflow {
            program: Arc::clone(&self.program),
            context: self.context.clone(),
            decode: |_codec, bytes| Ok(Untyped::new(bytes)),
            input: PhantomData,
        }
    }
}

impl<C, Input, M, Out> Clone for Workflow<C, Input, M, Out> {
    fn clone(&self) -> Self {
        let Self { program, context, decode, input } = self;
        Self { program: Arc::clone(program), context: context.clone(), decode: *decode, input: *input }
    }
}

impl<C, Input, M, Out> fmt::Debug for Workflow<C, Input, M, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workflow")
            .field("name", self.program.plan.name())
            .field("nodes", &self.program.plan.nodes().len())
            .field("definition_hash", self.program.plan.hash())
            .finish_non_exhaustive()
    }
}

impl<C, Input, M, Out> RunnableWorkflow for Workflow<C, Input, M, Out>
where
    C: Codec,
    Input: 'static,
    M: MaybeSend + MaybeSync + 'static,
    Out: 'static,
{
    fn plan(&self) -> &Plan {
        &self.program.plan
    }

    fn payloads(&self) -> &dyn Payloads {
        &*self.program
    }

    fn task(&self, node: NodeIx) -> Option<&Arc<dyn ErasedTask>> {
        self.program.node(node)?.task.as_ref()
    }

    fn metadata_json(&self) -> Option<&Arc<str>> {
        self.context.metadata_json()
    }
}
