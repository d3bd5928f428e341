//! `#[derive(BranchKey)]`: one key for each variant, `snake_case` unless said otherwise.

use std::collections::BTreeMap;

use heck::ToSnakeCase;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, Fields, LitStr, Variant};

use crate::paths;

pub(crate) fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "only an enum can be a route's key: each of its variants is one"));
    };
    if data.variants.is_empty() {
        return Err(Error::new_spanned(&input.ident, "a route's key needs at least one variant"));
    }
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(
            &input.generics,
            "a route's key has no generic parameters: its values must be known when it is compiled",
        ));
    }
    let (mut seen, mut keys): (BTreeMap<String, String>, Vec<String>) = (BTreeMap::new(), Vec::new());
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(&variant.fields, "a key holds no values: hand them on in the arms' input instead"));
        }
        let key = key_of(variant)?;
        if let Some(other) = seen.insert(key.clone(), variant.ident.to_string()) {
            return Err(Error::new_spanned(
                variant,
                format!("the key {key:?} is that of `{other}` already; give one of them another with #[branch_key(\"..\")]"),
            ));
        }
        keys.push(key);
    }
    let (core, name) = (paths::core(), &input.ident);
    let variants = data.variants.iter().map(|variant| &variant.ident);
    let all = &keys;
    Ok(quote! {
        #[automatically_derived]
        impl #core::branch_key::BranchKey for #name {
            fn as_key(&self) -> &str {
                match self { #(Self::#variants => #keys,)* }
            }

            fn all_keys() -> &'static [&'static str] {
                &[#(#all),*]
            }
        }
    })
}

fn key_of(variant: &Variant) -> syn::Result<String> {
    let mut key = None;
    for attribute in variant.attrs.iter().filter(|attribute| attribute.path().is_ident("branch_key")) {
        let literal: LitStr = attribute.parse_args().map_err(|_| Error::new_spanned(attribute, "write #[branch_key(\"the key\")]"))?;
        if literal.value().is_empty() {
            return Err(Error::new(literal.span(), "a key is not empty"));
        }
        if key.replace(literal.value()).is_some() {
            return Err(Error::new_spanned(attribute, "a variant has one key"));
        }
    }
    Ok(key.unwrap_or_else(|| variant.ident.to_string().to_snake_case()))
}
