//! An order that undoes what it did when a later step fails: compensation written as steps.
//!
//! `cargo run -p sayiir --example saga`

use std::sync::{Arc, Mutex};

use sayiir::prelude::*;
use serde::{Deserialize, Serialize};

/// What the order has done so far. It flows from step to step, and is stored with each.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Order {
    item: String,
    euros: u32,
    /// What there is to undo, in the order in which it was done.
    done: Vec<String>,
    failed: Option<String>,
}

impl Order {
    /// Notes how an outside step went. A failure is a value here, not an error: the workflow goes on, to undo.
    fn after(mut self, step: &str, outcome: Result<(), String>) -> Self {
        match outcome {
            Ok(()) => self.done.push(step.to_owned()),
            Err(error) => self.failed = Some(format!("{step}: {error}")),
        }
        self
    }
}

/// The services outside, which remember what was asked of them.
#[derive(Default)]
struct Services {
    log: Mutex<Vec<String>>,
}

impl Services {
    /// Asked twice under one key (a task may run again after a crash), a real service does it once.
    fn ask(&self, what: &str, key: &str) {
        let _ = key;
        self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(what.to_owned());
    }
}

fn key() -> String {
    task_context!().map(|context| context.idempotency_key()).unwrap_or_default()
}

#[task(retries = 3, backoff = "10ms")]
async fn reserve(order: Order, #[inject] services: Arc<Services>) -> Order {
    services.ask("reserve", &key());
    order.after("reserve", Ok(()))
}

#[task(retries = 3, backoff = "10ms")]
async fn charge(order: Order, #[inject] services: Arc<Services>) -> Order {
    services.ask("charge", &key());
    order.after("charge", Ok(()))
}

#[task(retries = 3, backoff = "10ms")]
async fn ship(order: Order, #[inject] services: Arc<Services>) -> Order {
    services.ask("ship", &key());
    let outcome = if order.item == "piano" { Err("too heavy".to_owned()) } else { Ok(()) };
    order.after("ship", outcome)
}

#[derive(BranchKey)]
enum Outcome {
    Good,
    Undo,
}

#[task]
async fn outcome(order: Order) -> String {
    if order.failed.is_none() { Outcome::Good } else { Outcome::Undo }.as_key().to_owned()
}

/// Undoes the last thing that was done; the loop runs until nothing is left.
#[task(retries = 10, backoff = "10ms")]
async fn undo(mut order: Order, #[inject] services: Arc<Services>) -> LoopResult<Order> {
    match order.done.pop() {
        Some(step) => {
            services.ask(&format!("undo {step}"), &key());
            LoopResult::Again(order)
        }
        None => LoopResult::Done(order),
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let services = Arc::new(Services::default());
    let deps = Deps::builder().insert(Arc::clone(&services)).build();
    let saga = workflow! {
        name: "saga",
        deps: &deps,
        steps: [
            reserve,
            charge,
            ship,
            route outcome -> Outcome {
                Good => [thank(order: Order) { format!("{} is on its way", order.item) }],
                Undo => [
                    loop undo 10,
                    regret(order: Order) { format!("no {}: {}", order.item, order.failed.unwrap_or_default()) },
                ],
            },
            told(end: BranchEnvelope<String>) { end.result },
        ],
    }?;

    let store = InMemoryBackend::new(); // a program keeps it: SqliteBackend::open("orders.db").await?
    for item in ["book", "piano"] {
        let order = Order { item: item.to_owned(), euros: 20, done: Vec::new(), failed: None };
        println!("{}", saga.run_durable(store.clone(), format!("order-{item}"), order).await?);
    }
    println!("{}", services.log.lock().map_err(|_| "the log is poisoned")?.join(", "));
    Ok(())
}
