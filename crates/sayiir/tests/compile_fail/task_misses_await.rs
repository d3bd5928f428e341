//! A task that gives a future, since its await was forgotten.
use sayiir::prelude::*;

#[task]
async fn number(x: u32) -> u32 {
    x
}

#[task]
async fn text(x: u32) -> String {
    x.to_string()
}

#[task]
async fn both(x: u32) -> Result<String, BoxError> {
    Ok(text(x))
}

fn main() {}
