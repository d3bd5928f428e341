//! `#[task]`: the function stays as it is, and beside it stands a struct that is the task.

mod attributes;
mod expand;
mod signature;

use heck::ToUpperCamelCase;
use proc_macro2::TokenStream;
use syn::{Ident, ItemFn};

use attributes::Attributes;
use signature::Signature;

pub(crate) fn expand(attributes: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let mut function: ItemFn = syn::parse2(item.clone()).map_err(|_| {
        syn::Error::new_spanned(item, "#[task] stands on a function: `async fn name(input: In) -> Result<Out, Error> { .. }`")
    })?;
    let attributes: Attributes = syn::parse2(attributes)?;
    let signature = Signature::take(&mut function)?;
    Ok(expand::tokens(&function, &attributes, &signature))
}

/// The struct of the task that a function is.
pub(crate) fn struct_name(function: &Ident) -> Ident {
    let name = function.to_string();
    let name = name.strip_prefix("r#").unwrap_or(&name);
    Ident::new(&format!("{}Task", name.to_upper_camel_case()), function.span())
}
