//! One trace for all that an instance does, whoever does it; and spans that reach a collector (feature `otel`).
#![cfg(feature = "otel")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use sayiir::prelude::*;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;

#[task]
async fn charge(euros: u32) -> u32 {
    euros
}

fn order() -> Workflow<JsonCodec, u32, (), u32> {
    workflow! { name: "order", steps: [charge, signal "paid", ship(euros: u32) { euros }] }.unwrap()
}

#[tokio::test]
async fn whoever_drives_an_instance_goes_on_in_its_trace() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let subscriber = tracing_subscriber::registry().with(tracing_opentelemetry::layer().with_tracer(provider.tracer("test")));
    let guard = tracing::subscriber::set_default(subscriber);
    let dir = tempfile::tempdir().unwrap();
    let (flow, store) = (order(), SqliteBackend::open(dir.path().join("store.db")).await.unwrap());
    let request = tracing::info_span!("request");
    let trace = request.context().span().span_context().trace_id();
    let client = WorkflowClient::new(store.clone());
    client.submit(&flow, "order-17", 5).instrument(request).await.unwrap();
    // One runner as far as the wait; then another, as after a restart. Neither is in the request's span.
    let first = CheckpointingRunner::new(store.clone());
    assert!(!first.resume(&flow, "order-17").await.unwrap().is_completed());
    drop(first);
    client.send_event("order-17", "paid", "5").await.unwrap();
    client.send_event("order-18", "paid", "5").await.unwrap();
    assert_eq!(flow.run_durable(store.clone(), "order-17", 5).await.unwrap(), 5);
    assert_eq!(flow.run_durable(store, "order-18", 5).await.unwrap(), 5);
    drop(guard);
    provider.force_flush().unwrap();
    let spans = exporter.get_finished_spans().unwrap();
    let of = |name: &str| spans.iter().filter(|span| span.name == name).map(|span| span.span_context.trace_id()).collect::<Vec<_>>();
    assert!(of("instance").len() >= 3 && of("task").len() == 4, "{spans:?}");
    assert_eq!(of("task").iter().filter(|id| **id == trace).count(), 2, "charge and ship of order-17");
    assert!(of("instance").iter().filter(|id| **id == trace).count() >= 2, "both drives of order-17");
}

/// A collector that takes one request and hands on its body.
fn collector() -> (u16, mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, bodies) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            request.extend_from_slice(buffer.get(..read).unwrap());
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        told.send(request).unwrap();
    });
    (port, bodies)
}

/// What the test below does in a process of its own: a process has one subscriber, and one environment.
#[test]
#[ignore = "run by the test beside it"]
fn a_program_that_exports() {
    sayiir::trace_context::init_tracing().unwrap();
    assert!(sayiir::trace_context::init_tracing().is_err(), "a second one is refused");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = InMemoryBackend::new();
        WorkflowClient::new(store.clone()).send_event("order-4711", "paid", "5").await.unwrap();
        assert_eq!(order().run_durable(store, "order-4711", 5).await.unwrap(), 5);
    });
    sayiir::trace_context::shutdown_tracing().unwrap();
}

#[test]
fn spans_reach_the_collector_that_the_environment_names() {
    let (port, bodies) = collector();
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new(program)
        .args(["--exact", "a_program_that_exports", "--ignored", "--nocapture"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{port}"))
        .env("OTEL_SERVICE_NAME", "orders-service")
        .env("RUST_LOG", "info")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let request = bodies.recv_timeout(Duration::from_secs(30)).unwrap();
    let text = String::from_utf8_lossy(&request);
    assert!(text.starts_with("POST /v1/traces"), "{text}");
    for word in ["orders-service", "order-4711", "charge", "ship"] {
        assert!(text.contains(word), "{word} in {text}");
    }
}
