//! A step that gives a future, since its await was forgotten.
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
    let _ = workflow! { name: "w", steps: [number, told(x: u32) { text(x) }] };
}
