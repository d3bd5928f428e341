//! Traces (feature `otel`): spans sent to an OpenTelemetry collector, and one trace for all that an instance does.
//!
//! An instance that is started inside of a span belongs to that span's trace: its context is stored with the instance, and every
//! worker that drives it later, in whatever process, before or after a crash, goes on in the same trace.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use sayiir_core::error::BoxError;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

/// The header that carries a context.
const TRACEPARENT: &str = "traceparent";

/// The service's name where `OTEL_SERVICE_NAME` gives none.
const SERVICE: &str = "sayiir";

static PROVIDER: Mutex<Option<SdkTracerProvider>> = Mutex::new(None);

/// Sends spans to the collector that `OTEL_EXPORTER_OTLP_ENDPOINT` names (by OTLP over HTTP; `http://localhost:4318` unless set), under
/// the service name `OTEL_SERVICE_NAME`, and writes logs to standard error. `RUST_LOG` says which (`info` unless set).
///
/// Call [`shutdown_tracing`] before the program ends, or the last spans are lost.
///
/// # Errors
///
/// If the exporter cannot be made (an endpoint that is no URL), or a subscriber is installed already.
pub fn init_tracing() -> Result<(), BoxError> {
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_http().build()?;
    let service = std::env::var("OTEL_SERVICE_NAME").unwrap_or_else(|_| SERVICE.to_owned());
    let resource = Resource::builder().with_service_name(service).build();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer(SERVICE));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::registry().with(filter).with(fmt::layer().with_writer(std::io::stderr)).with(layer).try_init()?;
    *PROVIDER.lock().unwrap_or_else(PoisonError::into_inner) = Some(provider);
    Ok(())
}

/// Sends what spans are left, and sends no more. Waits for the collector, for a few seconds at most.
///
/// # Errors
///
/// If the collector did not take them.
pub fn shutdown_tracing() -> Result<(), BoxError> {
    let provider = PROVIDER.lock().unwrap_or_else(PoisonError::into_inner).take();
    provider.map_or(Ok(()), |provider| Ok(provider.shutdown()?))
}

/// The context of the span that the caller is in, as a W3C `traceparent`.
pub(crate) fn current() -> Option<Arc<str>> {
    let context = Span::current().context();
    if !context.span().span_context().is_valid() {
        return None;
    }
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&context, &mut carrier);
    carrier.remove(TRACEPARENT).map(Arc::from)
}

/// Makes a span that was not entered yet a part of the trace.
pub(crate) fn continue_trace(span: &Span, traceparent: &str) {
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    // Without a subscriber that exports there is nothing to continue.
    let _ = span.set_parent(TraceContextPropagator::new().extract(&carrier));
}
