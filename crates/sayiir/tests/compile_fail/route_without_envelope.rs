//! The step behind a route takes what an arm gives, without its envelope.
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
    let _ = workflow! { name: "w", steps: [route text { "a" => [number], _ => [number] }, number] };
}
