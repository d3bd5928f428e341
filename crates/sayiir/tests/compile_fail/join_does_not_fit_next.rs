use sayiir::prelude::*;

#[task]
fn double(number: u32) -> u32 {
    number * 2
}

#[task]
fn shout(text: String) -> String {
    text.to_uppercase()
}

fn main() {
    let _ = workflow! {
        name: "wrong",
        steps: [double || other: double, all(outputs: BranchOutputs<_>) { outputs.len() }, shout],
    };
}
