//! Dependencies of tasks: what a process hands to its tasks besides their stored input, found by type.

use std::any::{Any, TypeId, type_name};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

#[cfg(not(target_arch = "wasm32"))]
type Value = Arc<dyn Any + Send + Sync>;
#[cfg(target_arch = "wasm32")]
type Value = Arc<dyn Any>;

use crate::future::{MaybeSend, MaybeSync};

/// Values by type: clients, pools, settings. Cheap to clone; a workflow and its children can share one.
///
/// ```
/// use std::sync::Arc;
/// use sayiir_core::deps::Deps;
///
/// struct Mailer;
/// let deps = Deps::builder().insert(Arc::new(Mailer)).insert(8080_u16).build();
/// assert!(deps.contains::<Arc<Mailer>>());
/// assert_eq!(deps.get::<u16>(), Some(&8080));
/// assert!(deps.try_get::<String>().unwrap_err().to_string().contains("String"));
/// ```
#[derive(Clone, Default)]
pub struct Deps {
    values: BTreeMap<TypeId, (&'static str, Value)>,
}

impl Deps {
    /// No values.
    pub const fn new() -> Self {
        Self { values: BTreeMap::new() }
    }

    /// Starts to collect values.
    pub const fn builder() -> DepsBuilder {
        DepsBuilder { deps: Self::new() }
    }

    /// The value of this type.
    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.values.get(&TypeId::of::<T>()).and_then(|(_, value)| value.downcast_ref())
    }

    /// The value of this type, or an error that names the type.
    pub fn try_get<T: 'static>(&self) -> Result<&T, MissingDep> {
        self.get().ok_or_else(MissingDep::of::<T>)
    }

    /// The value of this type.
    ///
    /// # Panics
    ///
    /// If there is none. [`Deps::try_get`] does not.
    #[allow(clippy::panic, reason = "what it is for, and its name says so")]
    pub fn expect<T: 'static>(&self) -> &T {
        self.try_get().unwrap_or_else(|missing| panic!("{missing}"))
    }

    /// Whether there is a value of this type.
    pub fn contains<T: 'static>(&self) -> bool {
        self.values.contains_key(&TypeId::of::<T>())
    }

    /// Takes over another's values. Where both have a type, the other's value stays.
    pub fn merge(&mut self, other: Self) {
        self.values.extend(other.values);
    }
}

impl fmt::Debug for Deps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names only: values may hold secrets.
        f.debug_set().entries(self.values.values().map(|(name, _)| name)).finish()
    }
}

/// Collects values.
///
/// ```
/// use std::sync::Arc;
/// use sayiir_core::deps::Deps;
///
/// let shared = Deps::builder().insert(Arc::new("a pool".to_owned())).build();
/// let deps = Deps::builder().insert(5_u32).merge(shared).build();
/// assert_eq!(deps.get::<u32>(), Some(&5));
/// assert!(deps.contains::<Arc<String>>());
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct DepsBuilder {
    deps: Deps,
}

impl DepsBuilder {
    /// Adds a value; one of the same type that was there before is replaced.
    pub fn insert<T: MaybeSend + MaybeSync + 'static>(mut self, value: T) -> Self {
        self.deps.values.insert(TypeId::of::<T>(), (type_name::<T>(), Arc::new(value)));
        self
    }

    /// Adds another's values. Where both have a type, the other's value stays.
    pub fn merge(mut self, other: Deps) -> Self {
        self.deps.merge(other);
        self
    }

    /// The values.
    pub fn build(self) -> Deps {
        self.deps
    }
}

/// A value that is asked for by type, but was not given.
///
/// ```
/// use sayiir_core::deps::{Deps, MissingDep};
///
/// let missing = Deps::new().try_get::<u16>().copied().unwrap_err();
/// assert_eq!(missing, MissingDep { type_name: "u16" });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the deps hold no {type_name}; insert one")]
pub struct MissingDep {
    /// The Rust type.
    pub type_name: &'static str,
}

impl MissingDep {
    /// That there is no `T`.
    pub fn of<T: ?Sized>() -> Self {
        Self { type_name: type_name::<T>() }
    }
}

/// A task that can be made from [`Deps`]: every `#[task]`.
///
/// ```
/// use sayiir_core::deps::{Deps, DepsInjectable, MissingDep};
///
/// struct Charge {
///     fee: u32,
/// }
///
/// impl DepsInjectable for Charge {
///     fn from_deps(deps: &Deps) -> Self {
///         Self { fee: *deps.expect::<u32>() }
///     }
///
///     fn verify_deps(deps: &Deps) -> Vec<MissingDep> {
///         if deps.contains::<u32>() { vec![] } else { vec![MissingDep::of::<u32>()] }
///     }
/// }
/// assert_eq!(Charge::verify_deps(&Deps::new()), [MissingDep::of::<u32>()]);
/// assert_eq!(Charge::from_deps(&Deps::builder().insert(3_u32).build()).fee, 3);
/// ```
pub trait DepsInjectable: Sized {
    /// Makes it.
    ///
    /// # Panics
    ///
    /// If the deps lack what it needs: [`verify_deps`](Self::verify_deps) tells beforehand.
    fn from_deps(deps: &Deps) -> Self;

    /// What it needs and the deps lack; empty if it can be made.
    fn verify_deps(deps: &Deps) -> Vec<MissingDep>;
}
