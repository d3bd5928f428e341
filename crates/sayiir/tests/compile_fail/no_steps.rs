use sayiir::prelude::*;

fn main() {
    let _ = workflow! { name: "w", steps: [] };
}
