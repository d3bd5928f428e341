//! A join behind one branch: nothing is to be joined.
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
    let _ = workflow! { name: "w", steps: [number, all(outputs: BranchOutputs<_>) { outputs.len() }] };
}
