//! The fields of `workflow!`.

use syn::parse::{Parse, ParseStream};
use syn::{Error, Expr, Ident, Token, Type, bracketed};

use super::names::refuse_doubles;
use super::steps::{Step, sequence};

const KNOWN: &str = "name, version, input, codec, registry, metadata, deps, steps";

/// What stands in `workflow! { .. }`.
pub(crate) struct Definition {
    pub(crate) name: Expr,
    pub(crate) version: Option<Expr>,
    pub(crate) input: Option<Type>,
    pub(crate) codec: Option<Expr>,
    pub(crate) registry: Option<Expr>,
    pub(crate) metadata: Option<Expr>,
    pub(crate) deps: Option<Expr>,
    pub(crate) steps: Vec<Step>,
}

impl Parse for Definition {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let (mut name, mut version, mut codec, mut registry, mut metadata, mut deps) = (None, None, None, None, None, None);
        let (mut input_type, mut steps) = (None, None);
        let mut seen: Vec<String> = Vec::new();
        while !input.is_empty() {
            let field: Ident =
                input.parse().map_err(|error| Error::new(error.span(), format!("write `field: value`; the fields are {KNOWN}")))?;
            let text = field.to_string();
            if seen.contains(&text) {
                return Err(Error::new(field.span(), format!("`{text}` is given twice")));
            }
            if !input.peek(Token![:]) {
                return Err(Error::new(field.span(), format!("write `{text}: ..`")));
            }
            input.parse::<Token![:]>()?;
            match text.as_str() {
                "name" => name = Some(input.parse()?),
                "version" => version = Some(input.parse()?),
                "input" => input_type = Some(input.parse()?),
                "codec" => codec = Some(input.parse()?),
                "registry" => registry = Some(input.parse()?),
                "metadata" => metadata = Some(input.parse()?),
                "deps" => deps = Some(input.parse()?),
                "steps" => steps = Some(list(input)?),
                _ => return Err(Error::new(field.span(), format!("a workflow has no `{text}`; its fields are {KNOWN}"))),
            }
            seen.push(text);
            if !input.is_empty() {
                input.parse::<Token![,]>().map_err(|error| Error::new(error.span(), "a comma stands between two fields"))?;
            }
        }
        let missing = |field: &str| Error::new(input.span(), format!("a workflow needs `{field}`"));
        let name = name.ok_or_else(|| missing("name: \"..\""))?;
        let steps = steps.ok_or_else(|| missing("steps: [..]"))?;
        Ok(Self { name, version, input: input_type, codec, registry, metadata, deps, steps })
    }
}

fn list(input: ParseStream<'_>) -> syn::Result<Vec<Step>> {
    if !input.peek(syn::token::Bracket) {
        return Err(input.error("steps stand in brackets: `steps: [first, second]`"));
    }
    let content;
    let bracket = bracketed!(content in input);
    let steps = sequence(&content)?;
    if steps.is_empty() {
        return Err(Error::new(bracket.span.join(), "Workflow must have at least one task"));
    }
    refuse_doubles(&steps)?;
    Ok(steps)
}
