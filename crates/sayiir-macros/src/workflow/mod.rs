//! `workflow!`: a list of steps becomes calls of the builder.

mod chain;
mod inline;
mod names;
mod parse;
mod steps;

use proc_macro2::TokenStream;
use quote::quote;

use crate::paths;
use parse::Definition;

pub(crate) fn expand(input: TokenStream) -> syn::Result<TokenStream> {
    let Definition { name, version, input, codec, registry, metadata, deps, steps } = syn::parse2(input)?;
    let core = paths::core();
    let codec = codec.map_or_else(|| quote!(#core::codec::JsonCodec), |codec| quote!(#codec));
    let metadata = metadata.map_or_else(|| quote!(()), |metadata| quote!(#metadata));
    let version = version.map(|version| quote!(.version(#version)));
    let registry = match (registry, deps.is_some()) {
        (Some(registry), _) => Some(quote!(.with_existing_registry(#registry))),
        (None, true) => Some(quote!(.with_registry())),
        (None, false) => None,
    };
    let deps = deps.map_or_else(|| quote!(::std::option::Option::None), |deps| quote!(::std::option::Option::Some(#deps)));
    let typed = input.map(|input| quote!(::<_, #input, _>));
    let builder = quote! {
        #core::workflow::WorkflowBuilder #typed::new(#core::context::WorkflowContext::new(#name, ::std::sync::Arc::new(#codec), ::std::sync::Arc::new(#metadata)))
            #version #registry
    };
    let chain = chain::Chain::new(core.clone()).of(&builder, &steps, chain::Before::Nothing);
    // A match keeps a temporary that the deps may be.
    Ok(quote! {
        match #core::macro_support::Provider::new(#deps) { __provider => #chain.build() }
    })
}
