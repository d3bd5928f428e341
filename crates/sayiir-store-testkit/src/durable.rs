//! What a store is given to the kit with, beyond a function that makes a fresh one.

use std::sync::Arc;

use sayiir_persistence::Store;

use crate::clock::TestClock;

/// Opens the store that lives in one place.
pub type Opener = Box<dyn Fn(Arc<TestClock>) -> Arc<dyn Store>>;

/// Makes a new place for a store (a file, a database), and says how the store there is opened, again and again.
pub type Home<'a> = &'a dyn Fn() -> Opener;
