//! Child workflows, inlined: their nodes become the parent's, under the child's name.

use super::{RegistryMode, WorkflowBuilder};
use crate::workflow::{FlowsInto, SerializableWorkflow, Typed, Untyped, Workflow};

impl<C, Input, S, M, R: RegistryMode> WorkflowBuilder<C, Input, S, M, R> {
    /// Adds all steps of a child workflow, which takes what flows here and gives what flows on.
    ///
    /// Its nodes' paths start with its name, so parent and child may use the same ids.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use sayiir_core::prelude::*;
    ///
    /// let context = |name| WorkflowContext::new(name, Arc::new(JsonCodec), Arc::new(()));
    /// let vat = WorkflowBuilder::new(context("vat")).then("add", |net: u32| async move { Ok(net + net / 5) }).build()?;
    /// let order = WorkflowBuilder::new(context("order"))
    ///     .then("price", |quantity: u32| async move { Ok(quantity * 10) })
    ///     .then_flow(vat)
    ///     .then("text", |gross| async move { Ok(format!("{gross} EUR")) })
    ///     .build()?;
    /// assert!(order.plan().find("vat/add").is_some());
    /// # Ok::<(), BuildErrors>(())
    /// ```
    pub fn then_flow<I, ChildM, Out>(mut self, child: Workflow<C, I, ChildM, Out>) -> WorkflowBuilder<C, Input, Typed<Out>, M, R>
    where
        S: FlowsInto<I>,
    {
        let Workflow { program, context: _, decode: _, input: _ } = child;
        self.steps.push_child(&program);
        self.flows()
    }

    /// Adds all steps of a child workflow that was built with a registry. With a registry of its own, the
    /// parent keeps the child's tasks too, under their node paths where their ids are taken.
    pub fn then_serializable_flow<I, ChildM, Out>(
        self,
        child: SerializableWorkflow<C, I, ChildM, Out>,
    ) -> WorkflowBuilder<C, Input, Typed<Out>, M, R>
    where
        S: FlowsInto<I>,
    {
        let (workflow, _registry) = child.into_parts();
        self.then_flow(workflow)
    }
}

impl<C, Input, M, R> WorkflowBuilder<C, Input, Typed<Untyped>, M, R> {
    /// After a child that ends with a wait for a signal: the next step takes the signal's payload.
    pub fn untyped(self) -> WorkflowBuilder<C, Input, Untyped, M, R> {
        self.flows()
    }
}
