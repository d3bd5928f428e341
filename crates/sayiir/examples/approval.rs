//! A request that a person approves, or nobody looks at in time. `cargo run -p sayiir --example approval`

use std::sync::Arc;
use std::time::Duration;

use sayiir::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Request {
    who: String,
    days: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Decision {
    approved: bool,
    by: String,
}

#[task(retries = 5)]
async fn notify(request: Request) -> Result<Request, BoxError> {
    println!("mail: {} asks for {} days", request.who, request.days);
    Ok(request)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let vacation = workflow! {
        name: "vacation",
        steps: [
            notify,
            signal "decision" timeout "2s", // a week, in a program
            answer(decision: Option<Decision>) {
                match decision {
                    Some(Decision { approved: true, by }) => format!("approved by {by}"),
                    Some(Decision { approved: false, by }) => format!("refused by {by}"),
                    None => "nobody looked in time".to_owned(),
                }
            },
        ],
    }?;

    let store = InMemoryBackend::new(); // a program keeps it: SqliteBackend::open("vacation.db").await?
    let worker = LocalWorker::builder(store.clone()).spawn(WorkflowSet::new().with(Arc::new(vacation.clone()))).await?;
    let client = WorkflowClient::new(store);
    for who in ["Ada", "Grace"] {
        client.submit(&vacation, who, Request { who: who.to_owned(), days: 5 }).await?;
    }
    // The web page's handler does this, in whatever process it runs.
    let decision = Decision { approved: true, by: "Charles".to_owned() };
    client.send_event("Ada", "decision", serde_json::to_vec(&decision)?).await?;

    for who in ["Ada", "Grace"] {
        println!("{who}: {}", client.wait_for(&vacation, who, Some(Duration::from_secs(30))).await?);
    }
    worker.shutdown();
    worker.join().await?;
    Ok(())
}
