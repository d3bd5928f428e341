//! Two different steps of one name.
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
    let _ = workflow! { name: "w", steps: [add(x: u32) { x + 1 }, route text { "a" => [add(x: u32) { x + 2 }], _ => [number] }] };
}
