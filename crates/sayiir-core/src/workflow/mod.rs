//! Workflows: the builder, what it builds, and the words for running it.

mod builder;
mod code;
mod compiled;
mod definition;
mod flow;
mod incoming;
mod node_info;
#[cfg(feature = "json")]
mod outline;
mod replace;
mod runnable;
mod serializable;

pub use builder::{
    BranchCollector, ForkBuilder, KeyFunction, LoopCodec, NoRegistry, RegistryMode, RouteBuilder, RouteCodec, SubFlow, TextKeys, TypedKeys,
    WithRegistry, WorkflowBuilder,
};
pub use compiled::Workflow;
pub use definition::{
    DefinitionChange, DefinitionDiff, DefinitionFormat, DefinitionNode, Inside, NodeMark, Obstacle, Standing, TaskTypes, Verdict,
    WorkflowDefinition,
};
pub use flow::{ArmGives, BodyGives, FlowEnd, FlowsInto, GivenByArms, GivenByBody, Typed, Untyped};
pub use node_info::{NodeInfo, NodeKind};
#[cfg(feature = "json")]
pub use outline::{Outline, OutlineBranch, OutlineJoin, OutlineNode, OutlineOptions, OutlineRetries, OutlineTasks, OutlineWorkflow};
pub use runnable::RunnableWorkflow;
pub use serializable::SerializableWorkflow;

pub use crate::conflict::{ConflictPolicy, UnknownConflictPolicy};
pub use crate::loop_result::MaxIterationsPolicy;
pub use crate::status::WorkflowStatus;
