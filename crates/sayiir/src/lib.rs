//! Durable workflows inside your own program.
//!
//! Write ordinary async functions, compose them into a graph, run it. Every finished step is stored, and
//! after a crash the work goes on from the last stored step: no replay of your code, no determinism
//! rules, no server to operate.
//!
//! ```
//! use std::sync::Arc;
//! use sayiir::prelude::*;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let context = WorkflowContext::new("order", Arc::new(JsonCodec), Arc::new(()));
//! let workflow = WorkflowBuilder::new(context)
//!     .then("price", |items: Vec<u32>| async move { Ok(items.iter().sum::<u32>()) })
//!     .then("receipt", |total| async move { Ok(format!("paid {total}")) })
//!     .build()?;
//! assert_eq!(workflow.run_once(vec![1, 2, 3]).await?, "paid 6");
//! # Ok(())
//! # }
//! ```
//!
//! # Where to look
//!
//! | For | See |
//! |---|---|
//! | every kind of step: tasks, forks, routes, loops, delays, signals, child workflows | [`WorkflowBuilder`](prelude::WorkflowBuilder) |
//! | retries, timeouts, priorities, tags | [`TaskMetadata`](prelude::TaskMetadata), [`DoNotRetry`](prelude::DoNotRetry) |
//! | running one instance here and now | [`CheckpointingRunner`] |
//! | running whatever is in a store | [`LocalWorker`] |
//! | starting instances, waiting, cancelling, sending events, reading results | [`WorkflowClient`] |
//! | where it is stored | `SqliteBackend` (feature `sqlite`, on by default), `PostgresBackend` (feature `postgres`), [`InMemoryBackend`](prelude::InMemoryBackend) |
//! | how values become bytes | [`JsonCodec`](prelude::JsonCodec), `RkyvCodec` (feature `rkyv`), or [one of your own](core::codec) |
//! | changing a workflow while instances of it run | [`WorkflowDefinition::diff`](core::workflow::WorkflowDefinition::diff), [`can_go_on_at`](core::workflow::DefinitionDiff::can_go_on_at) |
//! | what to do with an id that is known | [`ConflictPolicy`] |
//!
//! The guide (`docs/guide` in the repository) has a page for each thing you may want to do.
//!
//! # What is promised
//!
//! What is promised about a task is *at least once*: a task that was running at a crash runs again, one
//! whose result was stored never does. Each task can read an idempotency key that is the same on every
//! attempt, from [`get_task_context`](prelude::get_task_context).

/// The bytes of payloads.
pub use bytes;
pub use sayiir_core as core;
/// Makes the variants of an enum the keys of a route.
///
/// Each variant without values is one key: its name in `snake_case`, or what `#[branch_key("..")]` says.
///
/// ```
/// use sayiir::prelude::*;
///
/// #[derive(BranchKey)]
/// enum Risk {
///     Low,
///     #[branch_key("very high")]
///     VeryHigh,
/// }
///
/// assert_eq!(Risk::all_keys(), ["low", "very high"]);
/// assert_eq!(Risk::VeryHigh.as_key(), "very high");
/// ```
pub use sayiir_runtime::BranchKey;
pub use sayiir_runtime::*;

/// Makes a function a task.
///
/// The function stays as it is, to be called and tested. Beside it stands a struct named after it, `ChargeTask` for `charge`, with
/// `new(..)`, `task_id()`, `metadata()`, `register(..)`, `from_deps(..)` and `verify_deps(..)`, which is what workflows and registries take.
///
/// The function is `async` or not, takes one input that it owns (or none), and gives a value or a `Result` whose error is any that
/// converts into [`BoxError`](prelude::BoxError); an error type that implements [`TaskError`](prelude::TaskError) says itself whether a
/// retry makes sense. Parameters marked with `#[inject]` are no input: they come from [`Deps`] by their type. A function that is not
/// `async` blocks the thread it runs on: keep it short.
///
/// | In the brackets | Means | Unless given |
/// |---|---|---|
/// | `id = ".."` | the task's id, part of the definition's identity | the function's name |
/// | `version = ".."` | the version of its code, part of the identity too | none |
/// | `timeout = "30s"` | the longest an attempt may take (`ms s m h d`) | no limit |
/// | `retries = 3` | so many retries follow a failed attempt | none |
/// | `backoff = "1s"`, `backoff_multiplier = 2.0`, `max_delay = "1d"` | how long retries wait | as shown here |
/// | `tags = "io"` (repeatable, or a list) | tags that a worker must serve to run it | none |
/// | `priority = 3` | from 1 (critical) to 5 (minimal) | 3 |
/// | `display_name`, `description` | for people | none |
///
/// ```
/// use std::sync::Arc;
/// use sayiir::prelude::*;
///
/// struct Gateway;
///
/// #[task(timeout = "30s", retries = 3, backoff = "200ms")]
/// async fn charge(euros: u32, #[inject] gateway: Arc<Gateway>) -> Result<String, BoxError> {
///     let _ = gateway;
///     if euros == 0 {
///         return Err(DoNotRetry::new("nothing to charge").into());
///     }
///     Ok(format!("charged {euros} euros"))
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// // In a unit test it is a function.
/// assert_eq!(charge(5, Arc::new(Gateway)).await?, "charged 5 euros");
/// // In a workflow it is a task.
/// let deps = Deps::builder().insert(Arc::new(Gateway)).build();
/// let order = workflow! { name: "order", deps: &deps, steps: [charge] }?;
/// assert_eq!(order.run_once(5).await?, "charged 5 euros");
/// # Ok(())
/// # }
/// ```
pub use sayiir_runtime::task;

/// Writes a workflow as a list of steps. It gives a `Result<_, BuildErrors>`: of a [`Workflow`](prelude::Workflow), or, with `registry`
/// or `deps`, of a [`SerializableWorkflow`](prelude::SerializableWorkflow).
///
/// Fields: `name` and `steps`; and if wanted `version`, `input` (the type, where the first step does not say it), `codec` (JSON unless
/// given), `metadata`, `registry`, `deps`.
///
/// | Step | Means |
/// |---|---|
/// | `charge` | the function that `#[task]` stands on |
/// | `name(x: T) { .. }` | a step of its own, whose body gives a value, or a `Result` with `?`, `Ok` and `Err` |
/// | `a \|\| b, join_task` | branches side by side and what joins them: a task that takes [`NamedBranchResults`](prelude::NamedBranchResults), or `join(outputs: BranchOutputs<_>) { .. }` |
/// | `(a, b) \|\| name: [c, d], join` | branches of several steps, named after their first step or as said |
/// | `delay "5s"`, `delay "id" "5s"` | a wait |
/// | `signal "name"`, `signal "id" "name" timeout "1h"` | a wait for an event: the next step takes its payload, with a timeout as an `Option` |
/// | `loop task 10`, `loop "id" [a, b] 10 exit_with_last` | repeated until it gives [`LoopResult::Done`](prelude::LoopResult), at most so often |
/// | `route key_task -> Enum { A => [a], _ => [b] }`, `route key_task { "a" => [a] }` | one arm, chosen by the key (a `String`) that the task gives; the next step takes a [`BranchEnvelope`](prelude::BranchEnvelope) |
/// | `flow child` | another workflow, as one step |
///
/// Every kind stands anywhere: in a branch, an arm, a loop's body. A mistake is a compile error at its token.
///
/// ```
/// use sayiir::prelude::*;
///
/// #[task]
/// async fn price(quantity: u32) -> u32 {
///     quantity * 5
/// }
///
/// #[task]
/// async fn reserve(quantity: u32) -> String {
///     format!("reserved {quantity}")
/// }
///
/// #[derive(BranchKey)]
/// enum Size {
///     Small,
///     Large,
/// }
///
/// #[task]
/// async fn size(euros: u32) -> String {
///     if euros < 100 { Size::Small } else { Size::Large }.as_key().to_owned()
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let order = workflow! {
///     name: "order",
///     steps: [
///         price || reserve,
///         total(outputs: BranchOutputs<_>) { Ok(outputs.get_by_id::<u32>("price")?) },
///         route size -> Size {
///             Small => [post(euros: u32) { format!("{euros} euros, by post") }],
///             Large => [delay "1ms", truck(euros: u32) { format!("{euros} euros, by truck") }],
///         },
///         told(sent: BranchEnvelope<String>) { sent.result },
///     ],
/// }?;
/// assert_eq!(order.run_once(3).await?, "15 euros, by post");
/// # Ok(())
/// # }
/// ```
pub use sayiir_runtime::workflow;

#[cfg(feature = "postgres")]
pub use sayiir_postgres::{PgPool, PoolOptions, PostgresBackend, PostgresOptions};
#[cfg(feature = "sqlite")]
pub use sayiir_sqlite::{SqliteBackend, SqliteOptions};

#[cfg(feature = "sqlite")]
#[doc(hidden)]
pub use sayiir_sqlite::statements as sqlite_statements;

/// All that a program needs.
pub mod prelude {
    #[cfg(feature = "postgres")]
    pub use sayiir_postgres::{PoolOptions, PostgresBackend, PostgresOptions};
    pub use sayiir_runtime::prelude::*;
    #[cfg(feature = "sqlite")]
    pub use sayiir_sqlite::{SqliteBackend, SqliteOptions};
}

/// The pages of the guide, whose programs are tests.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../../../docs/guide/cancel-and-pause.md")]
    struct CancelAndPause;
    #[doc = include_str!("../../../docs/guide/child-flows.md")]
    struct ChildFlows;
    #[doc = include_str!("../../../docs/guide/codecs.md")]
    struct Codecs;
    #[doc = include_str!("../../../docs/guide/composing.md")]
    struct Composing;
    #[doc = include_str!("../../../docs/guide/delays.md")]
    struct Delays;
    #[doc = include_str!("../../../docs/guide/forks.md")]
    struct Forks;
    #[doc = include_str!("../../../docs/guide/getting-started.md")]
    struct GettingStarted;
    #[doc = include_str!("../../../docs/guide/long-tasks.md")]
    struct LongTasks;
    #[doc = include_str!("../../../docs/guide/loops.md")]
    struct Loops;
    // It shows the feature, too; CI has it on.
    #[cfg(feature = "otel")]
    #[doc = include_str!("../../../docs/guide/observability.md")]
    struct Observability;
    #[doc = include_str!("../../../docs/guide/operating.md")]
    struct Operating;
    #[cfg(feature = "postgres")]
    #[doc = include_str!("../../../docs/guide/postgres.md")]
    struct Postgres;
    #[doc = include_str!("../../../docs/guide/retries-and-timeouts.md")]
    struct RetriesAndTimeouts;
    #[doc = include_str!("../../../docs/guide/routes.md")]
    struct Routes;
    #[doc = include_str!("../../../docs/guide/running.md")]
    struct Running;
    #[doc = include_str!("../../../docs/guide/signals.md")]
    struct Signals;
    #[doc = include_str!("../../../docs/guide/testing.md")]
    struct Testing;
    #[doc = include_str!("../../../docs/guide/versions-and-deploys.md")]
    struct VersionsAndDeploys;
}
