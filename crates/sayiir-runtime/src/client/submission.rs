//! Submitting an instance for a worker to run, with what it can be found by.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sayiir_core::attribute::{AttributeValue, SearchAttributes};
use sayiir_core::codec::Codec;
use sayiir_core::codec::sealed::EncodeValue;
use sayiir_core::future::{MaybeSend, MaybeSync};
use sayiir_core::workflow::{ConflictPolicy, Workflow, WorkflowStatus};
use sayiir_persistence::Store;

use super::WorkflowClient;
use crate::checkpointing::runnable;
use crate::error::RuntimeError;
use crate::start::{Begin, Started, start_run};

/// How long a submit goes on asking a store that gives no answer.
const PATIENCE: Duration = Duration::from_millis(300);

/// An instance that is to be submitted: see [`WorkflowClient::submission`].
#[must_use = "nothing is submitted before it is sent"]
pub struct Submission<'a, B, C, Input, M, Out> {
    client: &'a WorkflowClient<B>,
    workflow: &'a Workflow<C, Input, M, Out>,
    instance_id: String,
    input: Input,
    policy: ConflictPolicy,
    attributes: SearchAttributes,
}

impl<B: Store> WorkflowClient<B> {
    /// Stores a new instance for a worker to run. Once this returns, it survives any crash.
    ///
    /// Returns its status, and with the policy `UseExisting` the output of one that is completed.
    ///
    /// # Errors
    ///
    /// As [`CheckpointingRunner::run`](crate::CheckpointingRunner::run).
    pub async fn submit<C, Input, M, Out>(
        &self,
        workflow: &Workflow<C, Input, M, Out>,
        instance_id: impl Into<String>,
        input: Input,
    ) -> Result<(WorkflowStatus, Option<Bytes>), RuntimeError>
    where
        C: Codec + EncodeValue<Input>,
        Input: 'static,
        M: MaybeSend + MaybeSync + 'static,
        Out: 'static,
    {
        self.submission(workflow, instance_id, input).send().await
    }

    /// An instance that is to be submitted, to say more of it first.
    ///
    /// ```
    /// use sayiir_runtime::persistence::{AttributeFilter, InstanceFilter};
    /// use sayiir_runtime::prelude::*;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), BoxError> {
    /// let order = workflow! { name: "order", steps: [charge(euros: u32) { euros }] }?;
    /// let client = WorkflowClient::new(InMemoryBackend::new());
    /// client.submission(&order, "order-17", 120).attribute("customer", "acme").attribute("euros", 120).send().await?;
    ///
    /// let large = InstanceFilter {
    ///     attributes: vec![AttributeFilter::is("customer", "acme"), AttributeFilter::at_least("euros", 100)],
    ///     ..InstanceFilter::default()
    /// };
    /// assert_eq!(&*client.list(large).await?[0].instance_id, "order-17");
    /// # Ok(())
    /// # }
    /// ```
    pub fn submission<'a, C, Input, M, Out>(
        &'a self,
        workflow: &'a Workflow<C, Input, M, Out>,
        instance_id: impl Into<String>,
        input: Input,
    ) -> Submission<'a, B, C, Input, M, Out> {
        let (instance_id, policy, attributes) = (instance_id.into(), self.policy, SearchAttributes::new());
        Submission { client: self, workflow, instance_id, input, policy, attributes }
    }
}

impl<B, C, Input, M, Out> Submission<'_, B, C, Input, M, Out> {
    /// A search attribute, by which the instance can be found from the start. A later one of the same name takes its place.
    pub fn attribute(mut self, name: impl Into<Arc<str>>, value: impl Into<AttributeValue>) -> Self {
        self.attributes.insert(name.into(), value.into());
        self
    }

    /// What happens if the instance id is known, in the place of what the client says.
    pub fn conflict_policy(mut self, policy: ConflictPolicy) -> Self {
        self.policy = policy;
        self
    }
}

impl<B, C, Input, M, Out> Submission<'_, B, C, Input, M, Out>
where
    B: Store,
    C: Codec + EncodeValue<Input>,
    Input: 'static,
    M: MaybeSend + MaybeSync + 'static,
    Out: 'static,
{
    /// Stores it. Once this returns, it survives any crash.
    ///
    /// Returns its status, and with the policy `UseExisting` the output of one that is completed; the attributes are those
    /// of the run that is there.
    ///
    /// # Errors
    ///
    /// As [`CheckpointingRunner::run`](crate::CheckpointingRunner::run); and if there are more or larger attributes than the store accepts
    /// ([`Limits`](sayiir_persistence::Limits)).
    pub async fn send(self) -> Result<(WorkflowStatus, Option<Bytes>), RuntimeError> {
        let Self { client, workflow, instance_id, input, policy, attributes } = self;
        let encoded = workflow.encode_input(&input)?;
        drop(input);
        let workflow = runnable(workflow);
        let begin = Begin { attributes, ..Begin::new(encoded, policy, PATIENCE) };
        match start_run(&*client.backend, workflow.plan(), &instance_id, begin).await? {
            Started::Fresh(_, _) => Ok((WorkflowStatus::InProgress, None)),
            Started::Existing(status, output) => Ok((status, output)),
        }
    }
}
