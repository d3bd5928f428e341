//! Routes: one of several arms, chosen by a key.

use std::collections::BTreeSet;
use std::future::Future;
use std::marker::PhantomData;

use super::{RegistryMode, Seed, Step, Steps, SubFlow, WithRegistry, WorkflowBuilder, tasks};
use crate::branch_key::BranchKey;
use crate::codec::Codec;
use crate::codec::sealed::{DecodeValue, EncodeValue};
use crate::error::{BoxError, BuildError};
use crate::future::{MaybeSend, MaybeSync};
use crate::task::BranchEnvelope;
use crate::workflow::code::NodeCode;
use crate::workflow::{ArmGives, Typed, Untyped};

/// The id of a route whose key is a closure's.
const ROUTE: &str = "route";

/// The arms' keys are the values of a [`BranchKey`].
#[derive(Debug)]
pub struct TypedKeys<K>(PhantomData<fn() -> K>);

/// The arms' keys are any text.
#[derive(Debug)]
pub struct TextKeys;

/// What a codec must carry for a route whose arms give an `Out`.
pub trait RouteCodec<Out>: Codec + DecodeValue<String> + EncodeValue<String> + DecodeValue<Out> + EncodeValue<BranchEnvelope<Out>> {}

impl<Out, C> RouteCodec<Out> for C where
    C: Codec + DecodeValue<String> + EncodeValue<String> + DecodeValue<Out> + EncodeValue<BranchEnvelope<Out>>
{
}

/// A route whose arms are being collected. Each is given what flows into the route.
#[must_use = "a route ends with `done`"]
pub struct RouteBuilder<C, Input, S, M, R, Out, Keys> {
    builder: WorkflowBuilder<C, Input, S, M, R>,
    seed: Seed<C, M, R>,
    key: Step,
    code: NodeCode<C>,
    arms: Vec<(String, Steps<C>)>,
    default: Option<Steps<C>>,
    /// All keys there are, if that is known.
    keys: Option<&'static [&'static str]>,
    types: PhantomData<fn() -> (Out, Keys)>,
}

impl<C, Input, T: 'static, M, R: RegistryMode> WorkflowBuilder<C, Input, Typed<T>, M, R> {
    /// Starts a route: a closure gives a key, and its arm runs. Every key needs an arm, or there is a default
    /// arm. Each arm gives an `Out`; the next step takes a [`BranchEnvelope`] of it.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use sayiir_core::prelude::*;
    ///
    /// enum Size {
    ///     Small,
    ///     Large,
    /// }
    ///
    /// impl BranchKey for Size {
    ///     fn as_key(&self) -> &'static str {
    ///         match self {
    ///             Size::Small => "small",
    ///             Size::Large => "large",
    ///         }
    ///     }
    ///
    ///     fn all_keys() -> &'static [&'static str] {
    ///         &["small", "large"]
    ///     }
    /// }
    ///
    /// let workflow = WorkflowBuilder::new(WorkflowContext::new("ship", Arc::new(JsonCodec), Arc::new(())))
    ///     .route::<String, Size, _, _>(|weight: u32| async move { Ok(if weight < 5 { Size::Small } else { Size::Large }) })
    ///     .branch(Size::Small, |arm| arm.then("post", |weight| async move { Ok(format!("{weight} kg by post")) }))
    ///     .branch(Size::Large, |arm| arm.then("truck", |weight| async move { Ok(format!("{weight} kg by truck")) }))
    ///     .done()
    ///     .then("log", |shipped: BranchEnvelope<String>| async move { Ok(shipped.result) })
    ///     .build()?;
    /// # Ok::<(), BuildErrors>(())
    /// ```
    pub fn route<Out, K, F, Fut>(self, key: F) -> RouteBuilder<C, Input, Typed<T>, M, R, Out, TypedKeys<K>>
    where
        K: BranchKey + 'static,
        F: Fn(T) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<K, BoxError>> + MaybeSend + 'static,
        C: RouteCodec<Out> + DecodeValue<T>,
    {
        self.start_typed_route(key)
    }

    /// Starts a route whose keys are known only at run time.
    pub fn route_str<Out, F, Fut>(self, key: F) -> RouteBuilder<C, Input, Typed<T>, M, R, Out, TextKeys>
    where
        F: Fn(T) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<String, BoxError>> + MaybeSend + 'static,
        C: RouteCodec<Out> + DecodeValue<T>,
    {
        self.start_text_route(key)
    }
}

impl<C, Input, M, R: RegistryMode> WorkflowBuilder<C, Input, Untyped, M, R> {
    /// Starts a route by a signal's payload, whose type is the closure's input.
    pub fn route<Out, K, I, F>(self, key: F) -> RouteBuilder<C, Input, Untyped, M, R, Out, TypedKeys<K>>
    where
        I: 'static,
        K: BranchKey + 'static,
        F: KeyFunction<I, K>,
        C: RouteCodec<Out> + DecodeValue<I>,
    {
        self.start_typed_route(move |input: I| key.key(input))
    }

    /// Starts a route by a signal's payload, whose keys are known only at run time.
    pub fn route_str<Out, I, F>(self, key: F) -> RouteBuilder<C, Input, Untyped, M, R, Out, TextKeys>
    where
        I: 'static,
        F: KeyFunction<I, String>,
        C: RouteCodec<Out> + DecodeValue<I>,
    {
        self.start_text_route(move |input: I| key.key(input))
    }
}

/// A closure that finds a route's key. It stands for `Fn(I) -> impl Future<Output = Result<K, BoxError>>`, so that a route behind a signal
/// has as many type parameters as one that stands elsewhere.
pub trait KeyFunction<I, K>: MaybeSend + MaybeSync + 'static {
    /// Finds the key.
    type Finding: Future<Output = Result<K, BoxError>> + MaybeSend + 'static;

    /// The key for this input.
    fn key(&self, input: I) -> Self::Finding;
}

impl<I, K, F, Fut> KeyFunction<I, K> for F
where
    F: Fn(I) -> Fut + MaybeSend + MaybeSync + 'static,
    Fut: Future<Output = Result<K, BoxError>> + MaybeSend + 'static,
{
    type Finding = Fut;

    fn key(&self, input: I) -> Fut {
        self(input)
    }
}

impl<C, Input, S, M> WorkflowBuilder<C, Input, S, M, WithRegistry> {
    /// Starts a route whose key is what a task of the registry returns, a `String`.
    pub fn route_registered<Out>(self, key_task: impl AsRef<str>) -> RouteBuilder<C, Input, S, M, WithRegistry, Out, TextKeys>
    where
        C: RouteCodec<Out>,
    {
        let step = self.registry.step(key_task.as_ref());
        self.start_route(step, false, None)
    }
}

impl<C, Input, S, M, R: RegistryMode> WorkflowBuilder<C, Input, S, M, R> {
    fn start_typed_route<Out, K, I, F, Fut>(self, key: F) -> RouteBuilder<C, Input, S, M, R, Out, TypedKeys<K>>
    where
        I: 'static,
        K: BranchKey + 'static,
        F: Fn(I) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<K, BoxError>> + MaybeSend + 'static,
        C: RouteCodec<Out> + DecodeValue<I>,
    {
        let text = move |input: I| {
            let key = key(input);
            async move { Ok(key.await?.as_key().to_owned()) }
        };
        let step = tasks::closure(ROUTE, self.codec(), text);
        self.start_route(step, true, Some(K::all_keys()))
    }

    fn start_text_route<Out, I, F, Fut>(self, key: F) -> RouteBuilder<C, Input, S, M, R, Out, TextKeys>
    where
        I: 'static,
        F: Fn(I) -> Fut + MaybeSend + MaybeSync + 'static,
        Fut: Future<Output = Result<String, BoxError>> + MaybeSend + 'static,
        C: RouteCodec<Out> + DecodeValue<I>,
    {
        let step = tasks::closure(ROUTE, self.codec(), key);
        self.start_route(step, true, None)
    }

    pub(super) fn start_route<Out, Keys>(
        self,
        key: Step,
        scoped: bool,
        keys: Option<&'static [&'static str]>,
    ) -> RouteBuilder<C, Input, S, M, R, Out, Keys>
    where
        C: RouteCodec<Out>,
    {
        let code = NodeCode { scoped, ..NodeCode::route::<Out>() };
        RouteBuilder { seed: self.seed(), builder: self, key, code, arms: Vec::new(), default: None, keys, types: PhantomData }
    }
}

impl<C, Input, S, M, R: RegistryMode, Out, K: BranchKey> RouteBuilder<C, Input, S, M, R, Out, TypedKeys<K>> {
    /// Adds the arm of a key.
    #[allow(clippy::needless_pass_by_value, reason = "a key is written at the call as a value: `Size::Small`")]
    pub fn branch<S2: ArmGives<Out>>(self, key: K, build: impl FnOnce(SubFlow<C, Input, S, M, R>) -> SubFlow<C, Input, S2, M, R>) -> Self {
        self.arm(key.as_key(), build)
    }
}

impl<C, Input, S, M, R: RegistryMode, Out> RouteBuilder<C, Input, S, M, R, Out, TextKeys> {
    /// Adds the arm of a key.
    pub fn branch<S2: ArmGives<Out>>(
        self,
        key: impl AsRef<str>,
        build: impl FnOnce(SubFlow<C, Input, S, M, R>) -> SubFlow<C, Input, S2, M, R>,
    ) -> Self {
        self.arm(key.as_ref(), build)
    }
}

impl<C, Input, S, M, R: RegistryMode, Out, Keys> RouteBuilder<C, Input, S, M, R, Out, Keys> {
    /// Adds the arm of every key that has none of its own.
    pub fn default_branch<S2: ArmGives<Out>>(
        mut self,
        build: impl FnOnce(SubFlow<C, Input, S, M, R>) -> SubFlow<C, Input, S2, M, R>,
    ) -> Self {
        let steps = self.seed.grow("default", build);
        self.set_default(steps);
        self
    }

    /// Ends the route; arms that are missing or too many are build errors.
    pub fn done(self) -> WorkflowBuilder<C, Input, Typed<BranchEnvelope<Out>>, M, R> {
        let Self { mut builder, seed: _, key, code, arms, default, keys, types: _ } = self;
        if let Some(keys) = keys {
            let arms: BTreeSet<&str> = arms.iter().map(|(key, _)| key.as_str()).collect();
            for error in check_coverage(&key.id, keys, &arms, default.is_some()) {
                builder.steps.error(error);
            }
        }
        builder.steps.push_route(key, code, arms, default);
        builder.flows()
    }

    fn arm<S2>(mut self, key: &str, build: impl FnOnce(SubFlow<C, Input, S, M, R>) -> SubFlow<C, Input, S2, M, R>) -> Self {
        let steps = self.seed.grow(key, build);
        self.arms.push((key.to_owned(), steps));
        self
    }

    fn set_default(&mut self, steps: Steps<C>) {
        if self.default.replace(steps).is_some() {
            let (node, branch) = (self.key.id.clone(), "default".to_owned());
            self.builder.steps.error(BuildError::DuplicateBranch { node, branch });
        }
    }
}

impl<C, Input, S, M, Out, Keys> RouteBuilder<C, Input, S, M, WithRegistry, Out, Keys> {
    /// Adds the arm of a key: tasks of the registry, one after the other.
    pub fn branch_registered(mut self, key: impl AsRef<str>, ids: &[&str]) -> Self {
        let steps = self.registered(ids);
        self.arms.push((key.as_ref().to_owned(), steps));
        self
    }

    /// Adds the default arm: tasks of the registry, one after the other.
    pub fn default_registered(mut self, ids: &[&str]) -> Self {
        let steps = self.registered(ids);
        self.set_default(steps);
        self
    }

    fn registered(&self, ids: &[&str]) -> Steps<C> {
        let mut steps = self.seed.steps.empty();
        for id in ids {
            steps.push_task(self.seed.registry.step(id));
        }
        steps
    }
}

/// The keys without an arm (unless there is a default arm), and the arms without a key.
pub(crate) fn check_coverage(route: &str, keys: &[&str], arms: &BTreeSet<&str>, has_default: bool) -> Vec<BuildError> {
    let missing: Vec<_> = keys.iter().filter(|key| !has_default && !arms.contains(**key)).map(ToString::to_string).collect();
    let orphans: Vec<_> = arms.iter().filter(|arm| !keys.contains(arm)).map(ToString::to_string).collect();
    let mut errors = Vec::new();
    if !missing.is_empty() {
        errors.push(BuildError::MissingBranches { branch_id: route.to_owned(), missing_keys: missing });
    }
    if !orphans.is_empty() {
        errors.push(BuildError::OrphanBranches { branch_id: route.to_owned(), orphan_keys: orphans });
    }
    errors
}
