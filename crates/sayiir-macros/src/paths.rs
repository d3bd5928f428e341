//! Where the generated code finds Sayiir: in whichever of its crates the user depends on.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::Ident;

/// The path of `sayiir-core` as the user's crate can reach it.
pub(crate) fn core() -> TokenStream {
    for (package, own, inside) in [
        ("sayiir", "sayiir", quote!(::core)),
        ("sayiir-runtime", "sayiir_runtime", quote!(::core)),
        ("sayiir-core", "sayiir_core", quote!()),
    ] {
        let name = match crate_name(package) {
            // Tests, examples and doc tests of the crate itself reach it by its name.
            Ok(FoundCrate::Itself) => own.to_owned(),
            Ok(FoundCrate::Name(name)) => name,
            Err(_) => continue,
        };
        let name = Ident::new(&name, Span::call_site());
        return quote!(::#name #inside);
    }
    quote!(::sayiir::core)
}
