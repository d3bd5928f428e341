use sayiir::prelude::*;

fn main() {
    let _ = workflow! {
        name: "wrong",
        steps: [add(left: u32, right: u32) { left + right }],
    };
}
