//! What `#[task]` writes.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, ItemFn, LitStr, Type};

use super::attributes::Attributes;
use super::signature::{Output, Parameter, Signature};
use super::struct_name;
use crate::paths;

pub(crate) fn tokens(function: &ItemFn, attributes: &Attributes, signature: &Signature) -> TokenStream {
    let core = paths::core();
    let (name, visibility, task) = (&function.sig.ident, &function.vis, struct_name(&function.sig.ident));
    let cfgs: Vec<&Attribute> = function.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")).collect();
    let id = attributes.id.clone().unwrap_or_else(|| LitStr::new(name.to_string().trim_start_matches("r#"), name.span()));
    let (input, output) = (input_type(signature), output_type(signature));
    let names: Vec<_> = signature.dependencies.iter().map(|dependency| &dependency.name).collect();
    let types: Vec<_> = signature.dependencies.iter().map(|dependency| &dependency.r#type).collect();
    let metadata = attributes.metadata(&core);
    let about = format!("The task `{}`.", id.value());
    let body = body(function, signature, &core);
    let checks = checks(signature, &core);
    let default = signature.dependencies.is_empty().then(|| quote!(#[derive(Default)]));
    let new = if names.is_empty() { "Makes the task." } else { "Makes the task with what it needs." };
    quote! {
        // A task owns its input, and may be async or fallible only because tasks are.
        #[allow(clippy::unused_async, clippy::needless_pass_by_value, clippy::unnecessary_wraps)]
        #function

        #(#cfgs)*
        #[doc = #about]
        #[derive(Clone)]
        #default
        #visibility struct #task { #(#names: #types,)* }

        #(#cfgs)*
        #[automatically_derived]
        #[allow(dead_code, clippy::new_without_default, clippy::too_many_arguments, clippy::must_use_candidate, clippy::missing_panics_doc)]
        impl #task {
            #[doc = #new]
            #visibility fn new(#(#names: #types),*) -> Self { Self { #(#names),* } }

            /// The id under which it stands in workflows and registries.
            #visibility fn task_id() -> &'static str { #id }

            /// What is said of it besides its code.
            #visibility fn metadata() -> #core::task::TaskMetadata { #metadata }

            /// Puts it into a registry, under its id and with its metadata.
            #visibility fn register<C>(registry: &mut #core::registry::TaskRegistry, codec: ::std::sync::Arc<C>, task: Self)
            where
                C: #core::codec::Codec + #core::codec::sealed::DecodeValue<#input> + #core::codec::sealed::EncodeValue<#output>,
            {
                registry.register_with_metadata(#id, codec, task, Self::metadata());
            }

            /// Makes it with what the deps hold; panics if they lack something: `verify_deps` tells beforehand.
            #visibility fn from_deps(deps: &#core::deps::Deps) -> Self { <Self as #core::deps::DepsInjectable>::from_deps(deps) }

            /// What it needs and the deps lack.
            #visibility fn verify_deps(deps: &#core::deps::Deps) -> ::std::vec::Vec<#core::deps::MissingDep> {
                <Self as #core::deps::DepsInjectable>::verify_deps(deps)
            }
        }

        #(#cfgs)*
        #[automatically_derived]
        impl #core::task::CoreTask for #task {
            type Input = #input;
            type Output = #output;
            type Future = #core::future::BoxFuture<'static, ::std::result::Result<#output, #core::error::BoxError>>;

            fn run(&self, __input: #input) -> Self::Future {
                #checks
                let Self { #(#names),* } = ::std::clone::Clone::clone(self);
                ::std::boxed::Box::pin(async move { #body })
            }
        }

        #(#cfgs)*
        #[automatically_derived]
        impl #core::task::RegisterableTask for #task {
            fn task_id() -> &'static str { #id }

            fn metadata() -> #core::task::TaskMetadata { Self::metadata() }
        }

        #(#cfgs)*
        #[automatically_derived]
        impl #core::deps::DepsInjectable for #task {
            #[allow(unused_variables)]
            fn from_deps(deps: &#core::deps::Deps) -> Self {
                Self { #(#names: ::std::clone::Clone::clone(deps.expect::<#types>())),* }
            }

            #[allow(unused_variables)]
            fn verify_deps(deps: &#core::deps::Deps) -> ::std::vec::Vec<#core::deps::MissingDep> {
                let needed: [::std::option::Option<#core::deps::MissingDep>; _] = [#(deps.try_get::<#types>().err()),*];
                ::std::iter::IntoIterator::into_iter(needed).flatten().collect()
            }
        }
    }
}

fn input_type(signature: &Signature) -> TokenStream {
    signature.input.as_ref().map_or_else(|| quote!(()), |input| quote!(#input))
}

fn output_type(signature: &Signature) -> TokenStream {
    match &signature.output {
        Output::Plain(None) => quote!(()),
        Output::Plain(Some(value)) | Output::Result { value, error: _ } => quote!(#value),
    }
}

/// Calls the function and makes its error one of a task.
fn body(function: &ItemFn, signature: &Signature, core: &TokenStream) -> TokenStream {
    let name = &function.sig.ident;
    let arguments = signature.parameters.iter().map(|parameter| match parameter {
        Parameter::Input => quote!(__input),
        Parameter::Dependency(number) => {
            signature.dependencies.get(*number).map(|dependency| &dependency.name).map_or_else(TokenStream::new, |name| quote!(#name))
        }
    });
    let wait = function.sig.asyncness.map(|_| quote!(.await));
    let unused = signature.input.is_none().then(|| quote!(let () = __input;));
    let call = quote!(#name(#(#arguments),*) #wait);
    match &signature.output {
        Output::Plain(_) => quote!(#unused ::std::result::Result::Ok(#call)),
        Output::Result { .. } => quote! {
            #unused
            #[allow(unused_imports)]
            use #core::macro_support::{FailedAdvised as _, FailedPlain as _, FailedRefused as _};
            match #call {
                ::std::result::Result::Ok(output) => ::std::result::Result::Ok(output),
                ::std::result::Result::Err(error) => ::std::result::Result::Err((&&&#core::macro_support::Failed::new(error)).into_box_error()),
            }
        },
    }
}

/// Errors that would else show in generated code, at the types that they are about.
fn checks(signature: &Signature, core: &TokenStream) -> TokenStream {
    let error = match &signature.output {
        Output::Result { error: Some(error), .. } if !matches!(error, Type::Infer(_)) => {
            Some(quote_spanned!(error.span()=> const _: () = #core::macro_support::is_error_of_task::<#error>();))
        }
        Output::Result { .. } | Output::Plain(_) => None,
    };
    quote!(#error)
}
