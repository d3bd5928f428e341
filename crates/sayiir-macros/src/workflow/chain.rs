//! The steps as calls of the builder.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, Ident, LitStr, Path};

use super::steps::{ArmKey, Body, Branch, Join, Route, Step};
use crate::task::struct_name;

/// Writes chains of calls.
pub(crate) struct Chain {
    core: TokenStream,
}

fn respanned(tokens: TokenStream, span: Span) -> TokenStream {
    let respan = |mut token: TokenTree| {
        token.set_span(span);
        token
    };
    tokens.into_iter().map(respan).collect()
}

/// The struct of a task that is named by its function.
fn task_of(path: &Path) -> Path {
    let mut path = path.clone();
    if let Some(last) = path.segments.last_mut() {
        last.ident = struct_name(&last.ident);
    }
    path
}

impl Chain {
    pub(crate) const fn new(core: TokenStream) -> Self {
        Self { core }
    }

    /// The builder with these steps behind it. `before` is the task whose output flows into them, if it is one.
    pub(crate) fn of(&self, builder: TokenStream, steps: &[Step], before: Option<&Path>) -> TokenStream {
        let mut before = before;
        steps.iter().fold(builder, |builder, step| {
            let chained = self.step(&builder, step, before);
            before = match step {
                Step::Task(path) => Some(path),
                // It hands on what it is given.
                Step::Delay { .. } => before,
                _ => None,
            };
            chained
        })
    }

    fn step(&self, builder: &TokenStream, step: &Step, before: Option<&Path>) -> TokenStream {
        let (core, span) = (&self.core, step.span());
        match step {
            Step::Task(path) => {
                let (task, check) = (task_of(path), self.check(before, path));
                let then = if check.is_some() { quote_spanned!(span=> then_after) } else { quote_spanned!(span=> then_provided) };
                quote_spanned!(span=> #builder.#then::<#task>({ #check __provider }))
            }
            Step::Inline(inline) => {
                let (id, closure) = (inline.id(), inline.closure(core));
                quote_spanned!(span=> #builder.then(#id, #closure))
            }
            Step::Delay { id, duration } => quote_spanned!(span=> #builder.delay(#id, #duration)),
            Step::Signal { id, name, timeout } => {
                let timeout = timeout
                    .as_ref()
                    .map_or_else(|| quote!(::std::option::Option::None), |timeout| quote!(::std::option::Option::Some(#timeout)));
                quote_spanned!(span=> #builder.wait_for_signal(#id, #name, #timeout))
            }
            Step::Loop { body, max, exit_with_last, span: _ } => self.repeat(builder, body, max, *exit_with_last, before),
            Step::Flow(child) => {
                let then = quote_spanned!(span=> #builder.then_flow(#core::macro_support::ChildFlow::into_workflow(#child)));
                quote!({
                    #[allow(unused_imports)]
                    use #core::macro_support::Settled as _;
                    #core::macro_support::AfterChild(#then).settled()
                })
            }
            Step::Fork { branches, join, span: _ } => self.fork(builder, branches, join, before),
            Step::Route(route) => self.route(builder, route, before),
            // Groups are taken apart when they are read.
            Step::Group(_) => builder.clone(),
        }
    }

    /// Says at the second of two tasks, by their names, that it cannot follow the first.
    fn check(&self, before: Option<&Path>, path: &Path) -> Option<TokenStream> {
        let (core, next) = (&self.core, task_of(path));
        let before = task_of(before?);
        // Told at the second of the two.
        let before = respanned(quote!(#before), path.span());
        Some(quote_spanned!(path.span()=> const _: () = #core::macro_support::feeds::<#before, #next>();))
    }

    fn repeat(&self, builder: &TokenStream, body: &Body, max: &Expr, exit_with_last: bool, before: Option<&Path>) -> TokenStream {
        let core = &self.core;
        let policy = if exit_with_last { format_ident!("ExitWithLast") } else { format_ident!("Fail") };
        let policy = quote!(#core::loop_result::MaxIterationsPolicy::#policy);
        match body {
            Body::Task(path) => {
                let (task, check) = (task_of(path), self.check(before, path));
                quote_spanned!(path.span()=> #builder.loop_provided::<#task>({ #check const _: () = #core::macro_support::repeats::<#task>(); __provider }, #max, #policy))
            }
            Body::Inline(inline) => {
                let (id, closure) = (inline.id(), inline.closure(core));
                quote_spanned!(inline.name.span()=> #builder.loop_task_with_policy(#id, #closure, #max, #policy))
            }
            Body::Steps { id, steps } => {
                let body = self.inside(steps, before);
                quote_spanned!(id.span()=> #builder.loop_flow_with_policy(#id, #body, #max, #policy))
            }
        }
    }

    /// Steps as a closure over a builder.
    fn inside(&self, steps: &[Step], before: Option<&Path>) -> TokenStream {
        let flow = Ident::new("__flow", Span::mixed_site());
        let chain = self.of(quote!(#flow), steps, before);
        quote!(|#flow| #chain)
    }

    fn fork(&self, builder: &TokenStream, branches: &[Branch], join: &Join, before: Option<&Path>) -> TokenStream {
        let branches = branches.iter().map(|branch| self.branch(branch, before));
        let join = match join {
            Join::Task(path) => {
                let task = task_of(path);
                let core = &self.core;
                quote_spanned!(path.span()=> .join_provided::<#task>({ const _: () = #core::macro_support::joins::<#task>(); __provider }))
            }
            Join::Inline(inline) => {
                let (id, closure) = (inline.id(), inline.closure(&self.core));
                quote_spanned!(inline.name.span()=> .join(#id, #closure))
            }
        };
        quote!(#builder.fork() #(#branches)* #join)
    }

    fn branch(&self, Branch { name, steps }: &Branch, before: Option<&Path>) -> TokenStream {
        match (name, steps.as_slice()) {
            (None, [Step::Task(path)]) => {
                let (task, check) = (task_of(path), self.check(before, path));
                // A call cannot hold a statement: the check stands in its argument.
                quote_spanned!(path.span()=> .branch_provided::<#task>({ #check __provider }))
            }
            (None, [Step::Inline(inline)]) => {
                let (id, closure) = (inline.id(), inline.closure(&self.core));
                quote_spanned!(inline.name.span()=> .branch(#id, #closure))
            }
            (name, steps) => {
                let name = name.as_ref().map_or_else(|| self.name_of(steps), |name| quote!(#name));
                let body = self.inside(steps, before);
                quote!(.branch_flow(#name, #body))
            }
        }
    }

    /// A branch without a name is named after its first step.
    fn name_of(&self, steps: &[Step]) -> TokenStream {
        let core = &self.core;
        let task_id = |path: &Path| {
            let task = task_of(path);
            quote!(<#task as #core::task::RegisterableTask>::task_id())
        };
        match steps.first() {
            Some(Step::Task(path) | Step::Loop { body: Body::Task(path), .. }) => task_id(path),
            Some(Step::Inline(inline) | Step::Loop { body: Body::Inline(inline), .. }) => {
                let id = inline.id();
                quote!(#id)
            }
            Some(Step::Delay { id, .. } | Step::Signal { id, .. } | Step::Loop { body: Body::Steps { id, .. }, .. }) => quote!(#id),
            Some(Step::Fork { branches, .. }) => branches.first().map_or_else(|| quote!("fork"), |branch| self.name_of(&branch.steps)),
            Some(Step::Route(route)) => task_id(&route.key),
            Some(Step::Flow(_) | Step::Group(_)) | None => quote!("flow"),
        }
    }

    fn route(&self, builder: &TokenStream, Route { key, keys, arms, default }: &Route, before: Option<&Path>) -> TokenStream {
        let (task, check) = (task_of(key), self.check(before, key));
        let branches = arms.iter().map(|(arm, steps)| {
            let steps = self.inside(steps, before);
            match (arm, keys) {
                (ArmKey::Variant(variant), Some(keys)) => quote_spanned!(variant.span()=> .branch(#keys::#variant, #steps)),
                (ArmKey::Variant(variant), None) => named(&LitStr::new(&variant.to_string(), variant.span()), &steps),
                (ArmKey::Text(text), _) => named(text, &steps),
            }
        });
        let default_arm = default.as_ref().map(|steps| {
            let steps = self.inside(steps, before);
            quote!(.default_branch(#steps))
        });
        let (start, every) = match keys {
            Some(keys) => (quote_spanned!(key.span()=> route_provided::<#task, #keys, _>), exhaustive(keys, arms, default.is_some())),
            None => (quote_spanned!(key.span()=> route_str_provided::<#task, _>), TokenStream::new()),
        };
        let core = &self.core;
        let check = quote_spanned!(key.span()=> #check const _: () = #core::macro_support::chooses::<#task>(););
        quote!(#builder.#start({ #check #every __provider }) #(#branches)* #default_arm .done())
    }
}

fn named(key: &LitStr, steps: &TokenStream) -> TokenStream {
    quote_spanned!(key.span()=> .branch(#key, #steps))
}

/// A match over the keys: a variant without an arm is a compile error at the enum's name.
fn exhaustive(keys: &Path, arms: &[(ArmKey, Vec<Step>)], has_default: bool) -> TokenStream {
    let variants = arms.iter().filter_map(|(key, _)| match key {
        ArmKey::Variant(variant) => Some(quote_spanned!(variant.span()=> #keys::#variant => {})),
        ArmKey::Text(_) => None,
    });
    let rest = has_default.then(|| quote!(#[allow(unreachable_patterns)] _ => {}));
    let matched = quote_spanned!(keys.span()=> match key { #(#variants)* #rest });
    quote!(const _: fn(&#keys) = |key| #matched;)
}
