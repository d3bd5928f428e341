//! What a program that collects spans sees of its instances and tasks.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use sayiir::prelude::*;
use sayiir::testing::TestRun;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

type Fields = BTreeMap<String, String>;

/// Keeps the fields of spans, and with each event those of the spans around it.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<(String, Fields)>>>,
    events: Arc<Mutex<Vec<Fields>>>,
}

struct Into<'a>(&'a mut Fields);

impl Visit for Into<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collector {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::new();
        attributes.record(&mut Into(&mut fields));
        context.span(id).unwrap().extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        values.record(&mut Into(span.extensions_mut().get_mut::<Fields>().unwrap()));
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::new();
        for span in context.event_scope(event).into_iter().flatten() {
            fields.extend(span.extensions().get::<Fields>().unwrap().clone());
        }
        event.record(&mut Into(&mut fields));
        self.events.lock().unwrap().push(fields);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        let fields = span.extensions().get::<Fields>().unwrap().clone();
        self.spans.lock().unwrap().push((span.name().to_owned(), fields));
    }
}

#[task(retries = 1, backoff = "1s")]
async fn charge(euros: u32) -> Result<u32, BoxError> {
    tokio::task::yield_now().await;
    tracing::info!("charging");
    if task_context!().is_some_and(|context| context.attempt == 1) { Err("the bank is closed".into()) } else { Ok(euros) }
}

#[test]
fn a_task_runs_in_the_spans_of_its_instance_and_attempt() {
    let collector = Collector::default();
    let subscriber = tracing_subscriber::registry().with(collector.clone());
    tracing::subscriber::with_default(subscriber, || {
        futures_executor::block_on(async {
            let flow = workflow! { name: "order", steps: [charge, told(x: u32) { tracing::info!("told"); x }] }.unwrap();
            let mut test = TestRun::of(&flow).instance_id("order-17").start(5).await.unwrap();
            test.advance(std::time::Duration::from_secs(1)).await;
            assert_eq!(test.output().await.unwrap(), 5);
        });
    });
    let (spans, events) = (collector.spans.lock().unwrap(), collector.events.lock().unwrap());
    let said = |message: &str| events.iter().filter(|event| event.get("message").is_some_and(|said| said == message)).collect::<Vec<_>>();
    let charging = said("charging");
    assert_eq!(charging.len(), 2);
    for (number, event) in charging.iter().enumerate() {
        let attempt = (number + 1).to_string();
        let expected = [
            ("instance_id", "order-17"),
            ("workflow", "order"),
            ("worker_id", "worker-1"),
            ("node", "charge"),
            ("task", "charge"),
            ("task_id", "charge"),
            ("attempt", &attempt),
        ];
        for (field, value) in expected {
            assert_eq!(event.get(field).map(String::as_str), Some(value), "{field} of {event:?}");
        }
    }
    assert_eq!(said("told")[0]["node"], "told");
    let failed: Vec<_> = spans.iter().filter(|(name, fields)| name == "task" && fields.contains_key("error")).collect();
    assert_eq!(failed.len(), 1, "{spans:?}");
    assert!(failed[0].1["error"].contains("the bank is closed"));
    assert!(spans.iter().any(|(name, _)| name == "instance"));
}
