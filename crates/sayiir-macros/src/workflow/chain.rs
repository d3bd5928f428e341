//! The steps as calls of the builder.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Expr, Ident, LitStr, Path};

use super::steps::{ArmKey, Body, Branch, Join, Route, Step};
use crate::task::struct_name;

/// What stands before a step.
#[derive(Clone, Copy)]
pub(crate) enum Before<'a> {
    /// Nothing that says what flows here: the step says it itself.
    Nothing,
    /// A task.
    Task(&'a Path),
    /// Another step.
    Step,
}

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

/// A name of the macro's own, told of at `span`.
fn mixed_at(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}

/// The builder as far as it has come. It has the hygiene of the user's own tokens, for the compiler tells what is wrong with a macro's
/// name at the macro.
fn flow_at(span: Span) -> Ident {
    Ident::new("sayiir_flow", span)
}

/// The type that a task takes.
fn input_of(core: &TokenStream, task: &Path) -> TokenStream {
    quote!(<#task as #core::task::CoreTask>::Input)
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

    /// The builder with these steps behind it.
    ///
    /// Each step is a statement of its own, so that the compiler finds what does not fit at the step, and not at the whole list.
    pub(crate) fn of<'a>(&self, builder: &TokenStream, steps: &'a [Step], mut before: Before<'a>) -> TokenStream {
        let mut statements = TokenStream::new();
        for step in steps {
            let chained = self.step(&flow_at(step.span()).to_token_stream(), step, before);
            before = match step {
                Step::Task(path) => Before::Task(path),
                // It hands on what it is given.
                Step::Delay { .. } => before,
                Step::Inline(_)
                | Step::Signal { .. }
                | Step::Loop { .. }
                | Step::Flow(_)
                | Step::Fork { .. }
                | Step::Route(_)
                | Step::Group(_) => Before::Step,
            };
            let flow = flow_at(Span::call_site());
            statements.extend(quote!(let #flow = #chained;));
        }
        let (start, end) = (flow_at(Span::call_site()), flow_at(steps.last().map_or_else(Span::call_site, Step::span)));
        quote!({ let #start = #builder; #statements #end })
    }

    /// The builder in front of a step, with a check that what flows there is what the step takes; in front of the first step it says what
    /// the workflow takes.
    fn taking(&self, builder: &TokenStream, input: &TokenStream, span: Span, before: Before<'_>) -> TokenStream {
        if matches!(before, Before::Nothing) {
            return builder.clone();
        }
        let core = &self.core;
        quote_spanned!(span=> #core::macro_support::takes::<#input, _, _, _, _, _>(#builder))
    }

    fn step(&self, builder: &TokenStream, step: &Step, before: Before<'_>) -> TokenStream {
        let (core, span) = (&self.core, step.span());
        match step {
            Step::Task(path) => {
                let (task, check) = (task_of(path), self.check(before, path));
                if check.is_some() {
                    return quote_spanned!(span=> #builder.then_after::<#task>({ #check __provider }));
                }
                if matches!(before, Before::Nothing) {
                    return quote_spanned!(span=> #builder.then_provided::<#task>(__provider));
                }
                let builder = self.taking(builder, &input_of(core, &task), span, before);
                quote_spanned!(span=> #builder.then_after::<#task>(__provider))
            }
            Step::Inline(inline) => {
                let (id, closure) = (inline.id(), inline.closure(core));
                let builder = inline.input().map_or_else(
                    || builder.clone(),
                    |input| self.taking(&flow_at(input.span()).to_token_stream(), &quote!(#input), input.span(), before),
                );
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
                let then = if matches!(before, Before::Nothing) {
                    quote_spanned!(span=> #builder.then_flow(#core::macro_support::ChildFlow::into_workflow(#child)))
                } else {
                    quote_spanned!(span=> #core::macro_support::then_child((#builder, #child)))
                };
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
    fn check(&self, before: Before<'_>, path: &Path) -> Option<TokenStream> {
        let (core, next) = (&self.core, task_of(path));
        let Before::Task(before) = before else { return None };
        let before = task_of(before);
        // Told at the second of the two.
        let before = respanned(quote!(#before), path.span());
        Some(quote_spanned!(path.span()=> const _: () = #core::macro_support::feeds::<#before, #next>();))
    }

    fn repeat(&self, builder: &TokenStream, body: &Body, max: &Expr, exit_with_last: bool, before: Before<'_>) -> TokenStream {
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
    fn inside(&self, steps: &[Step], before: Before<'_>) -> TokenStream {
        let flow = flow_at(Span::call_site());
        let chain = self.of(&flow.to_token_stream(), steps, before);
        let end = mixed_at(steps.last().map_or_else(Span::call_site, Step::span));
        quote_spanned!(end=> |#flow| #chain)
    }

    fn fork(&self, builder: &TokenStream, branches: &[Branch], join: &Join, before: Before<'_>) -> TokenStream {
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

    fn branch(&self, Branch { name, steps }: &Branch, before: Before<'_>) -> TokenStream {
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

    fn route(&self, builder: &TokenStream, Route { key, keys, arms, default }: &Route, before: Before<'_>) -> TokenStream {
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
            let span = steps.last().map_or_else(Span::call_site, Step::span);
            let steps = self.inside(steps, before);
            quote_spanned!(mixed_at(span)=> .default_branch(#steps))
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
    // Without a default arm one that matches nothing stands there: behind it the compiler does not suggest arms of its own, which would
    // not fit here.
    let rest = if has_default { quote!(#[allow(unreachable_patterns)] _ => {}) } else { quote!(_ if false => {}) };
    let matched = quote_spanned!(keys.span()=> match key { #(#variants)* #rest });
    quote!(const _: fn(&#keys) = |key| #matched;)
}
