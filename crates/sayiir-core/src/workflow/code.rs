//! The code of a plan, node by node: each node runs exactly the implementation given at it.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::Codec;
use crate::codec::sealed::{DecodeValue, EncodeValue};
use crate::error::{BoxError, CodecError, DoNotRetry};
use crate::loop_result::LoopResult;
use crate::plan::{NodeIx, Payloads, Plan};
use crate::task::{AfterSignal, BranchEnvelope, ErasedTask, Implementation, KeyTask, TaskMetadata};

/// The code of one node.
pub(crate) struct NodeCode<C> {
    /// What a registry holds for the node's task.
    pub(crate) implementation: Option<Implementation>,
    /// What runs: the implementation as this node needs it.
    pub(crate) task: Option<Arc<dyn ErasedTask>>,
    /// Makes the implementation a route's key task.
    pub(crate) key_task: Option<KeyTaskOf<C>>,
    /// The signal whose payload the task is given.
    pub(crate) after_signal: Option<Arc<str>>,
    /// What happens to payloads at this node.
    pub(crate) payload: PayloadCode<C>,
    /// Whether the task's id need not be unique in the workflow: a child has names of its own, and a
    /// route's closure has none.
    pub(crate) scoped: bool,
    /// The names of a node that runs no task.
    pub(crate) names: NodeNames,
}

pub(crate) type KeyTaskOf<C> = fn(Arc<dyn ErasedTask>, Arc<C>) -> Arc<dyn ErasedTask>;

/// What people read of a node that runs no task.
#[derive(Debug, Clone, Default)]
pub(crate) struct NodeNames {
    pub(crate) display_name: Option<String>,
    pub(crate) description: Option<String>,
}

/// What happens to payloads at a node, with the types it was built with.
pub(crate) enum PayloadCode<C> {
    /// Nothing.
    None,
    /// A loop takes apart what its body returned.
    Loop(fn(&C, Bytes) -> Result<LoopResult<Bytes>, BoxError>),
    /// A route wraps what its arm gave.
    Route(fn(&C, &str, Bytes) -> Result<Bytes, BoxError>),
    /// A signal hands on its event, or nothing.
    Signal { event: fn(&C, Bytes) -> Result<Bytes, BoxError>, timeout: fn(&C) -> Result<Bytes, BoxError> },
}

impl<C> NodeCode<C> {
    /// A node that runs no task.
    pub(crate) fn without_task(payload: PayloadCode<C>) -> Self {
        Self { implementation: None, task: None, key_task: None, after_signal: None, payload, scoped: false, names: NodeNames::default() }
    }

    /// A task or join; `None` if it is not to be had, which is a build error noted elsewhere.
    pub(crate) fn task(implementation: Option<Implementation>) -> Self {
        Self { implementation, ..Self::without_task(PayloadCode::None) }
    }

    /// A route, whose key task gives its key as an encoded `String`.
    pub(crate) fn route<Out>() -> Self
    where
        C: Codec + DecodeValue<String> + DecodeValue<Out> + EncodeValue<BranchEnvelope<Out>>,
    {
        let key_task: KeyTaskOf<C> = |inner, codec| Arc::new(KeyTask { inner, codec });
        Self { key_task: Some(key_task), ..Self::without_task(PayloadCode::Route(route_envelope::<Out, C>)) }
    }

    /// Makes the node's task ready to run, after the signal whose payload it is given.
    pub(crate) fn ready(mut self, after_signal: Option<Arc<str>>, codec: &Arc<C>) -> Self {
        self.after_signal = after_signal;
        self.task = self.implementation.as_ref().map(|implementation| self.at_this_node(&implementation.task, codec));
        self
    }

    /// The same node with another implementation of its task.
    pub(crate) fn with_implementation(&self, implementation: Implementation, codec: &Arc<C>) -> Self {
        let after_signal = self.after_signal.clone();
        Self { implementation: Some(implementation), ..self.clone() }.ready(after_signal, codec)
    }

    fn at_this_node(&self, task: &Arc<dyn ErasedTask>, codec: &Arc<C>) -> Arc<dyn ErasedTask> {
        let mut task = Arc::clone(task);
        if let Some(name) = &self.after_signal {
            task = Arc::new(AfterSignal { inner: task, name: Arc::clone(name) });
        }
        match self.key_task {
            Some(key_task) => key_task(task, Arc::clone(codec)),
            None => task,
        }
    }
}

impl<C> Clone for NodeCode<C> {
    fn clone(&self) -> Self {
        let Self { implementation, task, key_task, after_signal, payload, scoped, names } = self;
        Self {
            implementation: implementation.clone(),
            task: task.clone(),
            key_task: *key_task,
            after_signal: after_signal.clone(),
            payload: *payload,
            scoped: *scoped,
            names: names.clone(),
        }
    }
}

impl<C> Clone for PayloadCode<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for PayloadCode<C> {}

impl NodeNames {
    /// The names in this metadata.
    pub(crate) fn of(metadata: &TaskMetadata) -> Self {
        Self { display_name: metadata.display_name.clone(), description: metadata.description.clone() }
    }
}

impl<C> PayloadCode<C> {
    pub(crate) fn repeat<T>() -> Self
    where
        C: Codec + DecodeValue<LoopResult<T>> + EncodeValue<T>,
    {
        Self::Loop(|codec, bytes| {
            let result: LoopResult<T> = decode(codec, bytes, "what a loop's body returned")?;
            Ok(match result {
                LoopResult::Again(value) => LoopResult::Again(codec.encode(&value)?),
                LoopResult::Done(value) => LoopResult::Done(codec.encode(&value)?),
            })
        })
    }

    /// The payload is handed on as it is; a timeout hands on `None`.
    pub(crate) fn signal() -> Self
    where
        C: Codec + EncodeValue<Option<()>>,
    {
        Self::Signal { event: |_codec, bytes| Ok(bytes), timeout: C::encode_timeout }
    }

    /// The payload is a `P`; an `Option<P>` is handed on.
    pub(crate) fn optional_signal<P>() -> Self
    where
        C: Codec + DecodeValue<P> + EncodeValue<Option<P>>,
    {
        Self::Signal {
            event: |codec, bytes| codec.encode(&Some(decode::<P, C>(codec, bytes, "an event's payload")?)),
            timeout: |codec| codec.encode(&None::<P>),
        }
    }
}

fn route_envelope<Out, C>(codec: &C, key: &str, bytes: Bytes) -> Result<Bytes, BoxError>
where
    C: Codec + DecodeValue<Out> + EncodeValue<BranchEnvelope<Out>>,
{
    let result = decode::<Out, C>(codec, bytes, "what a route's arm returned")?;
    codec.encode(&BranchEnvelope { branch: key.to_owned(), result })
}

fn decode<T, C: Codec + DecodeValue<T>>(codec: &C, bytes: Bytes, context: &str) -> Result<T, BoxError> {
    codec.decode(bytes).map_err(|source| {
        let type_name = std::any::type_name::<T>();
        DoNotRetry::new(CodecError::Decode { type_name, context: context.to_owned(), source }).into()
    })
}

/// A plan and its code, index by index.
pub(crate) struct Program<C> {
    pub(crate) plan: Plan,
    pub(crate) codec: Arc<C>,
    pub(crate) nodes: Vec<NodeCode<C>>,
}

impl<C> Program<C> {
    pub(crate) fn node(&self, ix: NodeIx) -> Option<&NodeCode<C>> {
        self.nodes.get(ix.index())
    }

    fn not_here<T>(&self, ix: NodeIx, expected: &str) -> Result<T, BoxError> {
        Err(DoNotRetry::new(format!("{:?} is no {expected}", self.plan.node(ix).path)).into())
    }
}

impl<C: Codec> Payloads for Program<C> {
    fn loop_result(&self, repeat: NodeIx, output: &Bytes) -> Result<LoopResult<Bytes>, BoxError> {
        match self.node(repeat).map(|node| node.payload) {
            Some(PayloadCode::Loop(apart)) => apart(&self.codec, output.clone()),
            Some(PayloadCode::None | PayloadCode::Route(_) | PayloadCode::Signal { .. }) | None => self.not_here(repeat, "loop"),
        }
    }

    fn route_envelope(&self, route: NodeIx, key: &str, output: &Bytes) -> Result<Bytes, BoxError> {
        match self.node(route).map(|node| node.payload) {
            Some(PayloadCode::Route(wrap)) => wrap(&self.codec, key, output.clone()),
            Some(PayloadCode::None | PayloadCode::Loop(_) | PayloadCode::Signal { .. }) | None => self.not_here(route, "route"),
        }
    }

    fn event_value(&self, signal: NodeIx, payload: &Bytes) -> Result<Bytes, BoxError> {
        match self.node(signal).map(|node| node.payload) {
            Some(PayloadCode::Signal { event, .. }) => event(&self.codec, payload.clone()),
            Some(PayloadCode::None | PayloadCode::Loop(_) | PayloadCode::Route(_)) | None => self.not_here(signal, "signal"),
        }
    }

    fn timeout_value(&self, signal: NodeIx) -> Result<Bytes, BoxError> {
        match self.node(signal).map(|node| node.payload) {
            Some(PayloadCode::Signal { timeout, .. }) => timeout(&self.codec),
            Some(PayloadCode::None | PayloadCode::Loop(_) | PayloadCode::Route(_)) | None => self.not_here(signal, "signal"),
        }
    }
}
