//! A workflow that is run with an input of another type.
use sayiir::prelude::*;

#[task]
async fn number(x: u32) -> u32 {
    x
}

#[task]
async fn text(x: u32) -> String {
    x.to_string()
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let flow = workflow! { name: "w", steps: [number] }?;
    flow.run_once("five").await?;
    Ok(())
}
