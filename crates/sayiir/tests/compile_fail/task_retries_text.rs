//! A number in quotes.
use sayiir::prelude::*;

#[task]
async fn number(x: u32) -> u32 {
    x
}

#[task]
async fn text(x: u32) -> String {
    x.to_string()
}

#[task(retries = "3")]
async fn charge(x: u32) -> u32 {
    x
}

fn main() {}
