//! Deps by value.
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
    let deps = Deps::new();
    let _ = workflow! { name: "w", deps: deps, steps: [number] };
}
