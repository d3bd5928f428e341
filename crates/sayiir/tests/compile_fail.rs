//! Mistakes that do not compile, and what is said about them: at the user's own token, in words that say what to write instead.
//!
//! After a change of a message: `TRYBUILD=overwrite cargo test -p sayiir --test compile_fail`, then read the difference.

#[test]
fn mistakes_are_told_at_their_token() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
