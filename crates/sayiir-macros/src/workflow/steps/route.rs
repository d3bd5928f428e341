//! Routes and their arms, as they are written.

use syn::parse::ParseStream;
use syn::{Error, Ident, LitStr, Path, Token, braced, bracketed, token};

use super::{ArmKey, Route, Step, sequence};

pub(super) fn route(input: ParseStream<'_>) -> syn::Result<Step> {
    input.parse::<Ident>()?;
    let key = Path::parse_mod_style(input)?;
    let keys = if input.peek(Token![->]) {
        input.parse::<Token![->]>()?;
        Some(Path::parse_mod_style(input)?)
    } else {
        None
    };
    let keys = keys.filter(|keys| !keys.is_ident("String"));
    if !input.peek(token::Brace) {
        return Err(
            input.error("a route's arms stand in braces: `route key { \"a\" => [..], _ => [..] }`, or `route key -> Enum { A => [..] }`")
        );
    }
    let inner;
    let brace = braced!(inner in input);
    let mut route = Route { key, keys, arms: Vec::new(), default: None };
    while !inner.is_empty() {
        arm(&inner, &mut route)?;
        if !inner.is_empty() {
            inner.parse::<Token![,]>().map_err(|error| Error::new(error.span(), "a comma stands between two arms"))?;
        }
    }
    if route.arms.is_empty() {
        return Err(Error::new(brace.span.join(), "a route needs at least one arm with a key"));
    }
    Ok(Step::Route(route))
}

fn arm(input: ParseStream<'_>, route: &mut Route) -> syn::Result<()> {
    let span = input.span();
    if input.peek(Token![_]) {
        input.parse::<Token![_]>()?;
        if route.default.replace(arm_steps(input)?).is_some() {
            return Err(Error::new(span, "a route has one default arm"));
        }
        return Ok(());
    }
    let key = if input.peek(LitStr) {
        ArmKey::Text(input.parse()?)
    } else {
        ArmKey::Variant(
            input.parse().map_err(|error| Error::new(error.span(), "an arm is `Variant => [..]`, `\"key\" => [..]` or `_ => [..]`"))?,
        )
    };
    match (&key, &route.keys) {
        (ArmKey::Text(text), Some(_)) => {
            return Err(Error::new(text.span(), "this route's keys are the variants of an enum: write the variant"));
        }
        (ArmKey::Variant(variant), None) => {
            return Err(Error::new(variant.span(), "name the enum of this key, as `route key -> Enum { .. }`, or write the key in quotes"));
        }
        (ArmKey::Text(_), None) | (ArmKey::Variant(_), Some(_)) => {}
    }
    if route.arms.iter().any(|(known, _)| known.text() == key.text()) {
        return Err(Error::new(span, "this key has an arm already"));
    }
    let steps = arm_steps(input)?;
    route.arms.push((key, steps));
    Ok(())
}

impl ArmKey {
    fn text(&self) -> String {
        match self {
            Self::Variant(variant) => variant.to_string(),
            Self::Text(text) => text.value(),
        }
    }
}

fn arm_steps(input: ParseStream<'_>) -> syn::Result<Vec<Step>> {
    input.parse::<Token![=>]>().map_err(|error| Error::new(error.span(), "behind an arm's key stands `=> [steps]`"))?;
    if !input.peek(token::Bracket) {
        return Err(input.error("an arm's steps stand in brackets: `A => [first, second]`"));
    }
    let inner;
    let bracket = bracketed!(inner in input);
    let steps = sequence(&inner)?;
    if steps.is_empty() {
        return Err(Error::new(bracket.span.join(), "an arm needs at least one step"));
    }
    Ok(steps)
}
