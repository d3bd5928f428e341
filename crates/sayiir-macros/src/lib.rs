//! The macros of Sayiir. Programs use them from `sayiir`, which re-exports and documents them: [`macro@task`], [`workflow!`]
//! and [`derive(BranchKey)`](macro@BranchKey).
//!
//! Invariant: a mistake is reported at the user's own token, in words that say what to write instead; the generated code names
//! nothing but what the crate the user depends on re-exports.
#![allow(clippy::wildcard_enum_match_arm, reason = "syntax has more forms than any macro reads, and syn adds to them")]
#![allow(clippy::large_enum_variant, reason = "a few values live while one macro is expanded")]

mod branch_key;
mod duration;
mod paths;
mod task;
mod workflow;

use proc_macro::TokenStream;
use syn::parse_macro_input;

/// Makes a function a task: see `sayiir::task`.
#[proc_macro_attribute]
pub fn task(attributes: TokenStream, item: TokenStream) -> TokenStream {
    task::expand(attributes.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Writes a workflow as a list of steps: see `sayiir::workflow`.
#[proc_macro]
pub fn workflow(input: TokenStream) -> TokenStream {
    workflow::expand(input.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes the variants of an enum the keys of a route: see `sayiir::BranchKey`.
#[proc_macro_derive(BranchKey, attributes(branch_key))]
pub fn derive_branch_key(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as syn::DeriveInput);
    branch_key::expand(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
