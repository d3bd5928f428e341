//! The keys of a route, as a type: one variant, one arm.

/// A type whose values choose a route's arm.
///
/// ```
/// use sayiir_core::branch_key::BranchKey;
///
/// enum Risk {
///     Low,
///     High,
/// }
///
/// impl BranchKey for Risk {
///     fn as_key(&self) -> &'static str {
///         match self {
///             Risk::Low => "low",
///             Risk::High => "high",
///         }
///     }
///
///     fn all_keys() -> &'static [&'static str] {
///         &["low", "high"]
///     }
/// }
///
/// assert!(Risk::all_keys().contains(&Risk::High.as_key()));
/// assert!(Risk::all_keys().contains(&Risk::Low.as_key()));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no key of a route",
    note = "a typed route needs a type that implements `BranchKey`; keys known only at run time are taken by `route_str`"
)]
pub trait BranchKey {
    /// The key of this value.
    fn as_key(&self) -> &str;

    /// The key of every value, each once.
    fn all_keys() -> &'static [&'static str];
}
