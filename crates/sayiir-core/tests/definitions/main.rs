//! Definitions as data: what makes a difference, how it is said, and who can go on in spite of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
#![allow(clippy::redundant_closure_for_method_calls, reason = "an arm reads the same whether it has one step or two")]

mod oracle;
mod policies;
mod random;
mod words;
