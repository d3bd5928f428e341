//! Borrowed, shared and boxed stores are stores.

use std::sync::Arc;

use crate::forward_store;
use crate::store::Store;

impl<S: Store + ?Sized> Store for &'static S {
    forward_store!(|me| (**me));
}

impl<S: Store + ?Sized> Store for Arc<S> {
    forward_store!(|me| (**me));
}

impl<S: Store + ?Sized> Store for Box<S> {
    forward_store!(|me| (**me));
}
