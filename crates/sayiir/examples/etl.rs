//! A nightly import with progress, whose finished pages survive a crash and a retry. `cargo run -p sayiir --example etl`

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sayiir::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Progress {
    pages: u32,
    of: u32,
}

/// The source, which counts what was downloaded from it, and breaks once.
#[derive(Default)]
struct Source {
    downloads: AtomicU32,
}

impl Source {
    async fn page(&self, number: u32) -> Result<Vec<u32>, BoxError> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if self.downloads.fetch_add(1, Ordering::SeqCst) == 3 {
            return Err("connection reset".into());
        }
        Ok((0..100).map(|row| number * 100 + row).collect())
    }
}

const PAGES: u32 = 6;

#[task(retries = 5, backoff = "50ms", timeout = "1h")]
async fn load(_night: String, #[inject] source: Arc<Source>) -> Result<u32, BoxError> {
    let context = task_context!().ok_or("not in a workflow")?;
    let mut rows = 0;
    for page in 0..PAGES {
        // Stored under its name: another attempt, or another worker, does not download it again.
        let loaded = context.checkpoint(format!("page {page}"), async {
            let rows = source.page(page).await?;
            Ok(u32::try_from(rows.len())?)
        });
        rows += loaded.await?;
        context.report_progress(&Progress { pages: page + 1, of: PAGES }).await?;
    }
    Ok(rows)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let source = Arc::new(Source::default());
    let deps = Deps::builder().insert(Arc::clone(&source)).build();
    let nightly = workflow! {
        name: "nightly",
        deps: &deps,
        steps: [load, delay "20ms", report(rows: u32) { format!("{rows} rows loaded") }],
    }?;

    let store = InMemoryBackend::new(); // a program keeps it: SqliteBackend::open("etl.db").await?
    let worker = LocalWorker::builder(store.clone()).spawn(WorkflowSet::new().with(Arc::new(nightly.workflow().clone()))).await?;
    let client = WorkflowClient::new(store);
    client.submit(&nightly, "2026-11-24", "2026-11-24".to_owned()).await?;
    while !client.status("2026-11-24").await?.is_terminal() {
        for task in client.progress("2026-11-24").await? {
            let Progress { pages, of } = task.decode()?;
            eprintln!("{}: {pages} of {of} pages, attempt {}", task.node, task.attempt);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("{}", client.wait_for(&nightly, "2026-11-24", None).await?);
    println!("{} downloads for {PAGES} pages", source.downloads.load(Ordering::SeqCst));
    worker.shutdown();
    worker.join().await?;
    Ok(())
}
