//! Delays and signals, as they are written.

use syn::parse::ParseStream;
use syn::{Error, Ident, LitStr};

use super::Step;
use crate::duration;

pub(super) fn delay(input: ParseStream<'_>) -> syn::Result<Step> {
    let word: Ident = input.parse()?;
    let first: LitStr =
        input.parse().map_err(|error| Error::new(error.span(), "a delay's length is a text with a unit: `delay \"5s\"`"))?;
    if input.peek(LitStr) {
        let duration = duration::parse(&input.parse()?)?;
        return Ok(Step::Delay { id: first, duration });
    }
    Ok(Step::Delay { id: LitStr::new("delay", word.span()), duration: duration::parse(&first)? })
}

pub(super) fn signal(input: ParseStream<'_>) -> syn::Result<Step> {
    input.parse::<Ident>()?;
    let first: LitStr = input.parse()?;
    let (id, name) = if input.peek(LitStr) { (first, input.parse()?) } else { (first.clone(), first) };
    let mut timeout = None;
    if input.peek(Ident) {
        let word: Ident = input.parse()?;
        if word != "timeout" {
            return Err(Error::new(word.span(), "after a signal's name may stand `timeout \"30s\"`"));
        }
        timeout =
            Some(duration::parse(&input.parse().map_err(|error: Error| Error::new(error.span(), "write how long: `timeout \"30s\"`"))?)?);
    }
    Ok(Step::Signal { id, name, timeout })
}
