//! What a join and the step after a route are given.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::TaskIdentifier;
use crate::branch_results::NamedBranchResults;
use crate::codec::Decoder;
use crate::codec::sealed::DecodeValue;
use crate::error::{BoxError, CodecError, DoNotRetry, WorkflowError};

/// The outputs of a fork's branches, decoded when they are asked for.
///
/// ```
/// use std::sync::Arc;
/// use sayiir_core::prelude::*;
///
/// let workflow = WorkflowBuilder::new(WorkflowContext::new("sum", Arc::new(JsonCodec), Arc::new(())))
///     .fork()
///     .branch("double", |x: u32| async move { Ok(2 * x) })
///     .branch("text", |x: u32| async move { Ok(x.to_string()) })
///     .join("join", |outputs: BranchOutputs<_>| async move {
///         let double: u32 = outputs.get_by_id("double")?;
///         let text: String = outputs.get_by_id("text")?;
///         Ok(format!("{text} and {double}, of {} branches", outputs.len()))
///     })
///     .build()?;
/// # Ok::<(), BuildErrors>(())
/// ```
pub struct BranchOutputs<C> {
    codec: Arc<C>,
    names: Vec<Arc<str>>,
    outputs: BTreeMap<Arc<str>, Bytes>,
}

impl<C> BranchOutputs<C> {
    /// These names and payloads, in the fork's order.
    pub fn new(codec: Arc<C>, branches: Vec<(Arc<str>, Bytes)>) -> Self {
        let names = branches.iter().map(|(name, _)| Arc::clone(name)).collect();
        Self { codec, names, outputs: branches.into_iter().collect() }
    }

    /// The output of the branch that is this one task.
    pub fn get<T: TaskIdentifier>(&self) -> Result<T::Output, BoxError>
    where
        C: Decoder + DecodeValue<T::Output>,
    {
        self.get_by_id(T::identifier())
    }

    /// The output of the branch of this name.
    pub fn get_by_id<T>(&self, branch: &str) -> Result<T, BoxError>
    where
        C: Decoder + DecodeValue<T>,
    {
        let Some(output) = self.outputs.get(branch) else {
            return Err(DoNotRetry::new(WorkflowError::BranchNotFound(branch.to_owned())).into());
        };
        self.codec.decode(output.clone()).map_err(|source| {
            let context = format!("the output of the branch {branch:?}");
            DoNotRetry::new(CodecError::Decode { type_name: std::any::type_name::<T>(), context, source }).into()
        })
    }

    /// The names of the branches, in the fork's order.
    pub fn branch_names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// Whether there is a branch of this name.
    pub fn contains(&self, branch: &str) -> bool {
        self.outputs.contains_key(branch)
    }

    /// How many branches there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no branch.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The outputs as they are, not decoded.
    pub fn to_named_results(&self) -> NamedBranchResults {
        let output = |name: &Arc<str>| (name.to_string(), self.outputs.get(name).cloned().unwrap_or_default());
        self.names.iter().map(output).collect()
    }
}

impl<C> std::fmt::Debug for BranchOutputs<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BranchOutputs").field("branches", &self.names).finish_non_exhaustive()
    }
}

/// What a route hands on: the key that chose the arm, and what the arm gave.
///
/// ```
/// use sayiir_core::task::BranchEnvelope;
///
/// let taken = BranchEnvelope { branch: "low".to_owned(), result: 5_u32 };
/// assert_eq!((taken.branch.as_str(), taken.result), ("low", 5));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "rkyv", derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize))]
pub struct BranchEnvelope<T> {
    /// The key.
    pub branch: String,
    /// The arm's output.
    pub result: T,
}
