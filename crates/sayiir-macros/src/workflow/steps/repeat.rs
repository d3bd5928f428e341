//! Loops, as they are written.

use syn::parse::ParseStream;
use syn::{Error, Expr, Ident, LitInt, LitStr, Path, Token, bracketed, parenthesized, token};

use super::{Body, Step, sequence};

pub(super) fn repeat(input: ParseStream<'_>) -> syn::Result<Step> {
    let span = input.parse::<Token![loop]>()?.span;
    let body = if input.peek(LitStr) || input.peek(token::Bracket) {
        let id = if input.peek(LitStr) { input.parse()? } else { LitStr::new("loop", span) };
        if !input.peek(token::Bracket) {
            return Err(input.error("behind a loop's id stand its steps: `loop \"id\" [first, second] 10`"));
        }
        let inner;
        let bracket = bracketed!(inner in input);
        let steps = sequence(&inner)?;
        if steps.is_empty() {
            return Err(Error::new(bracket.span.join(), "a loop needs at least one step"));
        }
        Body::Steps { id, steps }
    } else if input.peek2(token::Paren) && input.peek3(token::Brace) {
        Body::Inline(input.parse()?)
    } else {
        Body::Task(Path::parse_mod_style(input)?)
    };
    let max = most(input)?;
    let mut exit_with_last = false;
    if input.peek(Ident) {
        let word: Ident = input.parse()?;
        if word != "exit_with_last" {
            return Err(Error::new(word.span(), "behind a loop's bound may stand `exit_with_last`"));
        }
        exit_with_last = true;
    }
    Ok(Step::Loop { body, max, exit_with_last, span })
}

/// How often a loop may run.
fn most(input: ParseStream<'_>) -> syn::Result<Expr> {
    if input.peek(LitInt) {
        let literal: LitInt = input.parse()?;
        let number: u32 = literal.base10_parse()?;
        if number == 0 {
            return Err(Error::new(literal.span(), "a loop must allow at least one iteration"));
        }
        return syn::parse2(quote::quote!(#literal));
    }
    if input.peek(token::Paren) {
        let inner;
        parenthesized!(inner in input);
        return inner.parse();
    }
    if input.peek(Ident) && !input.fork().parse::<Ident>().is_ok_and(|word| word == "exit_with_last") {
        return Ok(Expr::Path(input.parse()?));
    }
    Err(input.error("say how often a loop may run: `loop task 10`"))
}
