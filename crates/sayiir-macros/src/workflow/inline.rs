//! Inline steps: `name(x: T) { .. }`.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Block, Error, Expr, Ident, Pat, Stmt, Token, Type, parenthesized, token};

pub(crate) struct Inline {
    pub(crate) name: Ident,
    pattern: Pat,
    r#type: Option<Type>,
    body: Block,
}

impl Parse for Inline {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let name: Ident = input.parse()?;
        let parameters;
        let paren = parenthesized!(parameters in input);
        if parameters.is_empty() {
            return Err(Error::new(paren.span.join(), format!("a step takes what the step before it gives: `{name}(x) {{ .. }}`")));
        }
        let pattern = Pat::parse_single(&parameters)?;
        let mut r#type = None;
        if parameters.peek(Token![:]) {
            parameters.parse::<Token![:]>()?;
            r#type = Some(parameters.parse()?);
        }
        if !parameters.is_empty() {
            return Err(parameters.error("a step takes one input"));
        }
        if !input.peek(token::Brace) {
            return Err(Error::new(
                paren.span.join(),
                format!("behind `{name}(..)` stands what it does, in braces; a task is named without parentheses"),
            ));
        }
        Ok(Self { name, pattern, r#type, body: input.parse()? })
    }
}

impl Inline {
    pub(crate) fn id(&self) -> String {
        self.name.to_string().trim_start_matches("r#").to_owned()
    }

    /// The type of its input, if it says it.
    pub(crate) const fn input(&self) -> Option<&Type> {
        self.r#type.as_ref()
    }

    /// The step as a closure for the builder.
    pub(crate) fn closure(&self, core: &TokenStream) -> TokenStream {
        let Self { name: _, pattern, r#type, body } = self;
        let r#type = r#type.as_ref().map(|r#type| quote!(: #r#type));
        if gives_result(body) {
            return quote!(move |#pattern #r#type| async move #body);
        }
        let value = Ident::new("__value", Span::mixed_site());
        let end = body.stmts.last().map_or_else(|| body.span(), Spanned::span).resolved_at(Span::mixed_site());
        let look = quote_spanned!(end=> #core::macro_support::Look(&#value).look());
        quote! {
            move |#pattern #r#type| async move {
                #[allow(unused_imports)]
                use #core::macro_support::{EvaluatedPlain as _, FailedAdvised as _, FailedPlain as _, LookAtFuture as _, LookAtValue as _};
                #[allow(unused_braces)]
                let #value = #body;
                #look;
                match #core::macro_support::Evaluated(#value).into_result() {
                    ::std::result::Result::Ok(value) => ::std::result::Result::Ok(value),
                    ::std::result::Result::Err(error) => ::std::result::Result::Err((&&&#core::macro_support::Failed::new(error)).into_box_error()),
                }
            }
        }
    }
}

/// Whether it is written as a result: it ends with `Ok(..)` or `Err(..)` somewhere, or leaves early and may well end with one.
fn gives_result(body: &Block) -> bool {
    ends_with_result(body) || (leaves_early(body.to_token_stream()) && !ends_with_value(body))
}

/// Whether it uses no `return`, and its end is hardly a result: `a? + b?`.
fn ends_with_value(body: &Block) -> bool {
    let returns = mentions(body.to_token_stream(), &|token| matches!(token, TokenTree::Ident(ident) if ident == "return"));
    !returns && matches!(body.stmts.last(), Some(Stmt::Expr(tail, None)) if is_value(tail))
}

fn is_value(tail: &Expr) -> bool {
    match tail {
        Expr::Try(_)
        | Expr::Binary(_)
        | Expr::Unary(_)
        | Expr::Lit(_)
        | Expr::Tuple(_)
        | Expr::Array(_)
        | Expr::Struct(_)
        | Expr::Reference(_)
        | Expr::Cast(_)
        | Expr::Repeat(_)
        | Expr::Range(_) => true,
        Expr::Macro(call) => call.mac.path.segments.last().is_some_and(|last| last.ident == "format" || last.ident == "vec"),
        Expr::Paren(inner) => is_value(&inner.expr),
        _ => false,
    }
}

fn ends_with_result(block: &Block) -> bool {
    match block.stmts.last() {
        Some(Stmt::Expr(tail, None)) => is_result(tail),
        _ => false,
    }
}

fn is_result(tail: &Expr) -> bool {
    match tail {
        Expr::Call(call) => match &*call.func {
            Expr::Path(path) => path.path.segments.last().is_some_and(|last| last.ident == "Ok" || last.ident == "Err"),
            _ => false,
        },
        Expr::If(choice) => ends_with_result(&choice.then_branch) || choice.else_branch.as_ref().is_some_and(|(_, other)| is_result(other)),
        Expr::Match(choice) => choice.arms.iter().any(|arm| is_result(&arm.body)),
        Expr::Block(block) => ends_with_result(&block.block),
        Expr::Paren(inner) => is_result(&inner.expr),
        _ => false,
    }
}

/// Whether it uses `?` or `return`.
fn leaves_early(tokens: TokenStream) -> bool {
    mentions(tokens, &|token| match token {
        TokenTree::Punct(punct) => punct.as_char() == '?',
        TokenTree::Ident(ident) => ident == "return",
        TokenTree::Group(_) | TokenTree::Literal(_) => false,
    })
}

fn mentions(tokens: TokenStream, what: &dyn Fn(&TokenTree) -> bool) -> bool {
    tokens.into_iter().any(|token| match &token {
        TokenTree::Group(group) => mentions(group.stream(), what),
        TokenTree::Punct(_) | TokenTree::Ident(_) | TokenTree::Literal(_) => what(&token),
    })
}
