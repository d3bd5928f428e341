//! An order that survives a crash at any moment.

use sayiir::prelude::*;

#[task(retries = 3)]
async fn charge(euros: u32) -> Result<String, BoxError> {
    Ok(format!("charged {euros} euros"))
}

#[task]
async fn ship(charged: String) -> String {
    format!("{charged}, shipped")
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let order = workflow! { name: "order", steps: [charge, delay "200ms", ship] }?;
    let store = SqliteBackend::open("orders.db").await?;
    println!("{}", order.run_durable(store, "order-17", 42).await?);
    Ok(())
}
