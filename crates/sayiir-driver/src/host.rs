//! What the driver needs of the world it runs in.

use std::sync::Arc;
use std::time::Duration;

use sayiir_core::future::{BoxFuture, MaybeSend, MaybeSync};
use sayiir_persistence::Process;

/// The world a session runs in: a real runtime, a browser-like isolate, or a simulation.
pub trait Host: MaybeSend + MaybeSync + 'static {
    /// Ends after this long. The only clock the driver has.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;

    /// Runs a future beside the caller.
    fn spawn(&self, future: BoxFuture<'static, ()>) -> Box<dyn AbortTask>;

    /// A part of this world that goes on while tasks hold up the rest of it: its timers ring and what is spawned in it runs, though a
    /// task keeps every thread here busy or blocks it. `None` where there is no such part.
    fn apart(&self) -> Option<Arc<dyn Host>> {
        None
    }

    /// Makes `span` continue the trace that an instance was started in, a W3C `traceparent`. Called before the span is entered.
    /// A host that exports no traces does nothing.
    fn continue_trace(&self, span: &tracing::Span, traceparent: &str) {
        let _ = (span, traceparent);
    }

    /// The process this is.
    fn process(&self) -> Process;

    /// Whether a process of this host is still alive; `None` if that cannot be told.
    fn is_alive(&self, process: &Process) -> Option<bool>;
}

/// A spawned future that can be dropped before its end. Dropping the handle lets it run.
pub trait AbortTask: MaybeSend + MaybeSync {
    /// Drops the future at its next await, if it still runs.
    fn abort(&self);
}
