//! A duration without quotes.
use sayiir::prelude::*;

#[task]
async fn number(x: u32) -> u32 {
    x
}

#[task]
async fn text(x: u32) -> String {
    x.to_string()
}

fn main() {
    let _ = workflow! { name: "w", steps: [number, signal "go" timeout 30, text] };
}
