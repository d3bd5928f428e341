//! The same definition with other code at some of its nodes: for tests, and for dry runs.

use std::future::Future;
use std::sync::Arc;

use super::Workflow;
use super::code::Program;
use crate::codec::sealed::{DecodeValue, EncodeValue};
use crate::codec::{Codec, EnvelopeCodec};
use crate::error::{BoxError, BuildError};
use crate::future::{MaybeSend, MaybeSync};
use crate::plan::NodeIx;
use crate::task::{BranchOutputs, Implementation, fn_task};

impl<C: Codec, Input, M, Out> Workflow<C, Input, M, Out> {
    /// The same workflow with another function at the node path `task`, or wherever the task of this id stands. A route's
    /// key task gives its key as a `String`. Types are checked when it runs.
    ///
    /// The definition is the same, so instances of the one can be run by the other: meant for tests (see `sayiir::testing`)
    /// and dry runs.
    ///
    /// # Errors
    ///
    /// [`BuildError::NoSuchNode`] if no node runs such a task; it names those that there are.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use sayiir_core::prelude::*;
    ///
    /// let order = WorkflowBuilder::new(WorkflowContext::new("order", Arc::new(JsonCodec), Arc::new(())))
    ///     .then("charge", |euros: u32| async move { Ok(format!("really charged {euros}")) })
    ///     .build()?;
    /// let dry = order.with_task("charge", |euros: u32| async move { Ok(format!("would charge {euros}")) })?;
    /// assert_eq!(dry.definition_hash(), order.definition_hash());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_task<I, O, F, Fut>(&self, task: &str, function: F) -> Result<Self, BuildError>
    where
        I: 'static,
        O: 'static,
        F: Fn(I) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<O, BoxError>> + MaybeSend + 'static,
        C: DecodeValue<I> + EncodeValue<O>,
    {
        let codec = Arc::clone(&self.context.codec);
        self.replaced(task, &Implementation::of_closure(task, codec, fn_task(function)))
    }

    /// The same workflow with another function that joins branches.
    ///
    /// # Errors
    ///
    /// As [`with_task`](Self::with_task).
    pub fn with_join<O, F, Fut>(&self, task: &str, function: F) -> Result<Self, BuildError>
    where
        O: 'static,
        F: Fn(BranchOutputs<C>) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<O, BoxError>> + MaybeSend + 'static,
        C: EnvelopeCodec + EncodeValue<O>,
    {
        let codec = Arc::clone(&self.context.codec);
        self.replaced(task, &Implementation::of_join(task, codec, function))
    }

    /// The nodes whose path is `task`, or else those where the task of this id stands.
    ///
    /// # Errors
    ///
    /// [`BuildError::NoSuchNode`] if there is none; it names those that there are.
    pub fn find_tasks(&self, task: &str) -> Result<Vec<NodeIx>, BuildError> {
        let plan = &self.program.plan;
        let runs = |ix: &NodeIx| plan.task_at(*ix).is_some();
        if let Some(ix) = plan.find(task).filter(runs) {
            return Ok(vec![ix]);
        }
        let of_id: Vec<_> = plan.iter().map(|(ix, _)| ix).filter(|ix| plan.task_at(*ix).is_some_and(|spec| &*spec.task == task)).collect();
        if !of_id.is_empty() {
            return Ok(of_id);
        }
        let known: Vec<_> = plan.iter().filter(|(ix, _)| runs(ix)).map(|(_, node)| &*node.path).collect();
        Err(BuildError::NoSuchNode { task: task.to_owned(), workflow: self.workflow_id().to_owned(), known: known.join(", ") })
    }

    fn replaced(&self, task: &str, implementation: &Implementation) -> Result<Self, BuildError> {
        let found = self.find_tasks(task)?;
        let Program { plan, codec, nodes } = &*self.program;
        let mut nodes = nodes.clone();
        for ix in found {
            if let Some(node) = nodes.get_mut(ix.index()) {
                *node = node.with_implementation(implementation.clone(), codec);
            }
        }
        let program = Program { plan: plan.clone(), codec: Arc::clone(codec), nodes };
        Ok(Self { program: Arc::new(program), ..self.clone() })
    }
}
