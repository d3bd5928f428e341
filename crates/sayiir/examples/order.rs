//! An order that survives a crash at any moment.

use sayiir::prelude::*;
use std::{sync::Arc, time::Duration};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let context = WorkflowContext::new("order", Arc::new(JsonCodec), Arc::new(()));
    let order = WorkflowBuilder::new(context)
        .then("charge", |euros: u32| async move { Ok(format!("charged {euros} euros")) })
        .with_metadata(TaskMetadata { retries: Some(RetryPolicy::with_max_retries(3)), ..Default::default() })
        .delay("pack", Duration::from_millis(200))
        .then("ship", |charged| async move { Ok(format!("{charged}, shipped")) })
        .build()?;

    let store = SqliteBackend::open("orders.db").await?;
    let _worker = LocalWorker::builder(store.clone()).spawn(WorkflowSet::new().with(Arc::new(order.clone()))).await?;

    let client = WorkflowClient::new(store).with_conflict_policy(ConflictPolicy::UseExisting);
    client.submit(&order, "order-17", 42).await?;
    println!("{}", client.wait_for(&order, "order-17", None).await?);
    Ok(())
}
