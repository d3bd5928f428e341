//! A loop in place that gives no LoopResult.
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
    let _ = workflow! { name: "w", steps: [loop again(x: u32) { x + 1 } 3] };
}
