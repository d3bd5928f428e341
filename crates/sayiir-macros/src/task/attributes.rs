//! What stands in `#[task(..)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, Ident, Lit, LitStr, Token};

use crate::duration;

const KNOWN: &str = "id, display_name, description, timeout, retries, backoff, backoff_multiplier, max_delay, tags, priority, version";

#[derive(Default)]
pub(crate) struct Attributes {
    pub(crate) id: Option<LitStr>,
    display_name: Option<LitStr>,
    description: Option<LitStr>,
    version: Option<LitStr>,
    timeout: Option<TokenStream>,
    retries: Option<u32>,
    backoff: Option<TokenStream>,
    backoff_multiplier: Option<f32>,
    max_delay: Option<TokenStream>,
    tags: Vec<LitStr>,
    priority: Option<u8>,
    /// The first attribute that says something about retries.
    about_retries: Option<Ident>,
}

impl Parse for Attributes {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut attributes = Self::default();
        let mut seen: Vec<String> = Vec::new();
        while !input.is_empty() {
            let name: Ident =
                input.parse().map_err(|error| Error::new(error.span(), format!("write `name = value`; the names are {KNOWN}")))?;
            if name != "tags" && seen.contains(&name.to_string()) {
                return Err(Error::new(name.span(), format!("`{name}` is given twice")));
            }
            seen.push(name.to_string());
            if !input.peek(Token![=]) {
                return Err(Error::new(name.span(), format!("`{name}` needs a value: `{name} = ..`")));
            }
            input.parse::<Token![=]>()?;
            attributes.set(&name, &input.parse()?)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        if let (Some(name), None) = (&attributes.about_retries, attributes.retries) {
            return Err(Error::new(name.span(), format!("`{name}` says how retries wait: say how many there are, too, as `retries = 3`")));
        }
        Ok(attributes)
    }
}

impl Attributes {
    fn set(&mut self, name: &Ident, value: &Expr) -> syn::Result<()> {
        match name.to_string().as_str() {
            "id" => self.id = Some(not_empty(text(value)?)?),
            "display_name" => self.display_name = Some(text(value)?),
            "description" => self.description = Some(text(value)?),
            "version" => self.version = Some(not_empty(text(value)?)?),
            "timeout" => self.timeout = Some(length(value)?),
            "retries" => self.retries = Some(number(value, "how many retries follow the first attempt, as `retries = 3`")?),
            "backoff" => self.backoff = Some(self.retry(name, length(value)?)),
            "max_delay" => self.max_delay = Some(self.retry(name, length(value)?)),
            "backoff_multiplier" => {
                let multiplier = multiplier(value)?;
                self.backoff_multiplier = Some(self.retry(name, multiplier));
            }
            "tags" => self.tags.extend(tags(value)?),
            "priority" => {
                let wanted = "a priority from 1 (critical) to 5 (minimal)";
                self.priority = Some(
                    number(value, wanted)
                        .ok()
                        .filter(|priority| (1..=5).contains(priority))
                        .ok_or_else(|| Error::new(value.span(), format!("write {wanted}")))?,
                );
            }
            _ => return Err(Error::new(name.span(), format!("a task has no `{name}`; it has {KNOWN}"))),
        }
        Ok(())
    }

    fn retry<T>(&mut self, name: &Ident, value: T) -> T {
        self.about_retries.get_or_insert_with(|| name.clone());
        value
    }

    /// The metadata as an expression.
    pub(crate) fn metadata(&self, core: &TokenStream) -> TokenStream {
        let Self {
            id: _,
            display_name,
            description,
            version,
            timeout,
            retries,
            backoff,
            backoff_multiplier,
            max_delay,
            tags,
            priority,
            about_retries: _,
        } = self;
        let option = |value: Option<TokenStream>| {
            value.map_or_else(|| quote!(::std::option::Option::None), |value| quote!(::std::option::Option::Some(#value)))
        };
        let string = |text: &Option<LitStr>| option(text.as_ref().map(|text| quote!(::std::string::String::from(#text))));
        let (display_name, description, version, timeout) =
            (string(display_name), string(description), string(version), option(timeout.clone()));
        let retries = option(retries.map(|max_retries| {
            let initial_delay = backoff.clone().unwrap_or_else(|| quote!(::std::time::Duration::from_secs(1)));
            let (multiplier, max_delay) = (backoff_multiplier.unwrap_or(2.0), option(max_delay.clone()));
            quote!(#core::task::RetryPolicy { max_retries: #max_retries, initial_delay: #initial_delay, backoff_multiplier: #multiplier, max_delay: #max_delay })
        }));
        let priority =
            priority.map_or_else(|| quote!(::std::option::Option::None), |priority| quote!(#core::priority::Priority::from_u8(#priority)));
        quote! {
            #core::task::TaskMetadata {
                display_name: #display_name,
                description: #description,
                timeout: #timeout,
                retries: #retries,
                tags: ::std::vec![#(::std::string::String::from(#tags)),*],
                version: #version,
                priority: #priority,
            }
        }
    }
}

fn text(value: &Expr) -> syn::Result<LitStr> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Ok(text.clone()),
        other => Err(Error::new(other.span(), "write a text in quotes")),
    }
}

fn length(value: &Expr) -> syn::Result<TokenStream> {
    let text = text(value).map_err(|error| Error::new(error.span(), "write how long in quotes, with its unit: \"30s\""))?;
    duration::parse(&text)
}

fn not_empty(text: LitStr) -> syn::Result<LitStr> {
    if text.value().is_empty() { Err(Error::new(text.span(), "this text must not be empty")) } else { Ok(text) }
}

fn number<N: std::str::FromStr>(value: &Expr, wanted: &str) -> syn::Result<N>
where
    N::Err: std::fmt::Display,
{
    match value {
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => {
            number.base10_parse().map_err(|_| Error::new(number.span(), format!("write {wanted}")))
        }
        other => Err(Error::new(other.span(), format!("write {wanted}"))),
    }
}

fn multiplier(value: &Expr) -> syn::Result<f32> {
    let found = match value {
        Expr::Lit(ExprLit { lit: Lit::Float(number), .. }) => number.base10_parse().ok(),
        Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => number.base10_parse().ok(),
        _ => None,
    };
    let wanted = "write by how much each wait is longer than the one before, as `backoff_multiplier = 2.0`; at least 1";
    found.filter(|multiplier| *multiplier >= 1.0).ok_or_else(|| Error::new(value.span(), wanted))
}

/// One tag, or several in brackets.
fn tags(value: &Expr) -> syn::Result<Vec<LitStr>> {
    match value {
        Expr::Array(array) => array.elems.iter().map(|tag| not_empty(text(tag)?)).collect(),
        one => Ok(vec![not_empty(text(one)?)?]),
    }
}
