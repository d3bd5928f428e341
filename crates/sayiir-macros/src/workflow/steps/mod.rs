//! The steps of `workflow!`, as they are written.

mod repeat;
mod route;
mod waits;

use proc_macro2::{Span, TokenStream};
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{Error, Expr, Ident, LitInt, LitStr, Path, Token, Type, bracketed, parenthesized, token};

use self::repeat::repeat;
use self::route::route;
use self::waits::{delay, signal};
use super::inline::Inline;

/// One step.
pub(crate) enum Step {
    /// A `#[task]` function.
    Task(Path),
    Inline(Inline),
    Delay {
        id: LitStr,
        duration: TokenStream,
    },
    Signal {
        id: LitStr,
        name: LitStr,
        timeout: Option<TokenStream>,
    },
    Loop {
        body: Body,
        max: Expr,
        exit_with_last: bool,
        span: Span,
    },
    Flow(Expr),
    Fork {
        branches: Vec<Branch>,
        join: Join,
        span: Span,
    },
    Route(Route),
    /// Branches in parentheses whose join follows, or a chain.
    Group(Group),
}

/// What a loop repeats.
pub(crate) enum Body {
    Task(Path),
    Inline(Inline),
    Steps { id: LitStr, steps: Vec<Step> },
}

pub(crate) enum Join {
    Task(Path),
    Inline(Inline),
}

pub(crate) struct Branch {
    pub(crate) name: Option<LitStr>,
    pub(crate) steps: Vec<Step>,
}

pub(crate) struct Group {
    content: Content,
    span: Span,
}

enum Content {
    Steps(Vec<Step>),
    Branches(Vec<Branch>),
}

pub(crate) struct Route {
    pub(crate) key: Path,
    /// The enum whose variants are the keys; without it they are texts.
    pub(crate) keys: Option<Path>,
    pub(crate) arms: Vec<(ArmKey, Vec<Step>)>,
    pub(crate) default: Option<Vec<Step>>,
}

pub(crate) enum ArmKey {
    Variant(Ident),
    Text(LitStr),
}

/// Steps with commas between them. A fork's join is the step behind it.
pub(crate) fn sequence(input: ParseStream<'_>) -> syn::Result<Vec<Step>> {
    match content(input)? {
        Content::Steps(steps) => Ok(steps),
        Content::Branches(branches) => Err(no_join(branches_span(&branches, input))),
    }
}

fn no_join(span: Span) -> Error {
    Error::new(span, "branches side by side need a task that joins them: `a || b, join_task`")
}

fn branches_span(branches: &[Branch], input: ParseStream<'_>) -> Span {
    branches.first().and_then(|branch| branch.steps.first()).map_or_else(|| input.span(), Step::span)
}

/// A sequence, or nothing but branches whose join stands elsewhere.
fn content(input: ParseStream<'_>) -> syn::Result<Content> {
    let mut steps: Vec<Step> = Vec::new();
    while !input.is_empty() {
        let span = input.span();
        let branches = parallel(input)?;
        let more = !input.is_empty();
        if more {
            input.parse::<Token![,]>().map_err(|error| Error::new(error.span(), no_comma(input)))?;
        }
        let branches = match one_step(branches) {
            Ok(Step::Group(Group { content: Content::Branches(branches), span: _ })) | Err(branches) => branches,
            Ok(Step::Group(Group { content: Content::Steps(inner), span: _ })) => {
                steps.extend(inner);
                continue;
            }
            Ok(step) => {
                refuse_join(&step)?;
                steps.push(step);
                continue;
            }
        };
        if input.is_empty() {
            return if steps.is_empty() && !more { Ok(Content::Branches(branches)) } else { Err(no_join(span)) };
        }
        let join = join(input)?;
        steps.push(Step::Fork { branches, join, span });
        if !input.is_empty() {
            input.parse::<Token![,]>().map_err(|error| Error::new(error.span(), "a comma stands between two steps"))?;
        }
    }
    Ok(Content::Steps(steps))
}

/// A step that takes what branches give stands behind branches.
fn refuse_join(step: &Step) -> syn::Result<()> {
    let Step::Inline(inline) = step else { return Ok(()) };
    let Some(Type::Path(input)) = inline.input() else { return Ok(()) };
    match input.path.segments.last() {
        Some(last) if last.ident == "BranchOutputs" => Err(Error::new(
            input.span(),
            format!("`{}` joins branches, and there are none before it: `a || b, {}(..) {{ .. }}`", inline.name, inline.name),
        )),
        _ => Ok(()),
    }
}

/// What is said where a comma should stand.
fn no_comma(input: ParseStream<'_>) -> &'static str {
    let word = input.fork().parse::<Ident>().map(|word| word.to_string()).unwrap_or_default();
    match word.as_str() {
        "retries" | "retry" | "backoff" | "tags" | "priority" => {
            "this is said where the task is: `#[task(retries = 3)]`; a step that runs no task has none"
        }
        "timeout" => "a time limit is said where the task is: `#[task(timeout = \"30s\")]`; only a signal has one of its own",
        _ => "a comma stands between two steps, `||` between two branches",
    }
}

/// The step, if it is one without a name; else the branches.
fn one_step(mut branches: Vec<Branch>) -> Result<Step, Vec<Branch>> {
    let alone = branches.len() == 1 && branches.iter().all(|branch| branch.name.is_none() && branch.steps.len() == 1);
    if !alone {
        return Err(branches);
    }
    branches.pop().and_then(|mut branch| branch.steps.pop()).ok_or(branches)
}

fn join(input: ParseStream<'_>) -> syn::Result<Join> {
    let span = input.span();
    match step(input)? {
        Step::Task(path) => Ok(Join::Task(path)),
        Step::Inline(inline) => Ok(Join::Inline(inline)),
        _ => Err(Error::new(span, "a task joins the branches before it: write its name, or `name(outputs: BranchOutputs<_>) { .. }`")),
    }
}

/// Elements with `||` between them.
fn parallel(input: ParseStream<'_>) -> syn::Result<Vec<Branch>> {
    let mut branches = vec![branch(input)?];
    while input.peek(Token![||]) {
        input.parse::<Token![||]>()?;
        branches.push(branch(input)?);
    }
    if branches.len() > 1 {
        // Parentheses around a branch hold its chain.
        for branch in &mut branches {
            branch.steps = std::mem::take(&mut branch.steps)
                .into_iter()
                .map(into_chain)
                .collect::<syn::Result<Vec<_>>>()?
                .into_iter()
                .flatten()
                .collect();
        }
    }
    Ok(branches)
}

fn into_chain(step: Step) -> syn::Result<Vec<Step>> {
    match step {
        Step::Group(Group { content: Content::Steps(steps), span }) if steps.is_empty() => {
            Err(Error::new(span, "a branch needs at least one step"))
        }
        Step::Group(Group { content: Content::Steps(steps), span: _ }) => Ok(steps),
        Step::Group(Group { content: Content::Branches(_), span }) => Err(no_join(span)),
        step => Ok(vec![step]),
    }
}

fn branch(input: ParseStream<'_>) -> syn::Result<Branch> {
    let named = (input.peek(Ident) || input.peek(LitStr)) && input.peek2(Token![:]) && !input.peek2(Token![::]);
    if !named {
        return Ok(Branch { name: None, steps: vec![step(input)?] });
    }
    let name = if input.peek(LitStr) {
        input.parse()?
    } else {
        let ident: Ident = input.parse()?;
        LitStr::new(&ident.to_string(), ident.span())
    };
    input.parse::<Token![:]>()?;
    Ok(Branch { name: Some(name), steps: into_chain(step(input)?)? })
}

fn step(input: ParseStream<'_>) -> syn::Result<Step> {
    if input.peek(token::Paren) || input.peek(token::Bracket) {
        return group(input);
    }
    if input.peek(Token![loop]) {
        return repeat(input);
    }
    if !input.peek(Ident)
        && !input.peek(Token![crate])
        && !input.peek(Token![self])
        && !input.peek(Token![super])
        && !input.peek(Token![::])
    {
        return Err(input.error(
            "this is no step: write a task's name, `name(x: T) { .. }`, `delay \"5s\"`, `signal \"name\"`, `loop task 10`, `flow child`, `route key { .. }`, or a chain in parentheses",
        ));
    }
    let word = input.fork().parse::<Ident>().map(|word| word.to_string()).unwrap_or_default();
    match word.as_str() {
        "delay" if input.peek2(LitStr) || input.peek2(LitInt) => delay(input),
        "signal" if input.peek2(LitStr) => signal(input),
        "flow" if input.peek2(Ident) || input.peek2(token::Paren) || input.peek2(Token![&]) => {
            input.parse::<Ident>()?;
            Ok(Step::Flow(bare(input.call(Expr::parse_without_eager_brace)?)))
        }
        "route" if input.peek2(Ident) => route(input),
        _ if input.peek2(token::Paren) => Ok(Step::Inline(input.parse()?)),
        _ => Ok(Step::Task(Path::parse_mod_style(input)?)),
    }
}

/// The expression without parentheses around it.
fn bare(expression: Expr) -> Expr {
    match expression {
        Expr::Paren(inner) => bare(*inner.expr),
        other => other,
    }
}

fn group(input: ParseStream<'_>) -> syn::Result<Step> {
    let inner;
    let span = if input.peek(token::Paren) { parenthesized!(inner in input).span.join() } else { bracketed!(inner in input).span.join() };
    Ok(Step::Group(Group { content: content(&inner)?, span }))
}

impl Step {
    pub(crate) fn span(&self) -> Span {
        match self {
            Self::Task(path) => path.span(),
            Self::Inline(inline) => inline.name.span(),
            Self::Delay { id, .. } | Self::Signal { id, .. } => id.span(),
            Self::Loop { span, .. } | Self::Fork { span, .. } | Self::Group(Group { span, .. }) => *span,
            Self::Flow(child) => child.span(),
            Self::Route(route) => route.key.span(),
        }
    }
}
