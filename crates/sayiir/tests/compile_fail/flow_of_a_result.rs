use sayiir::prelude::*;

#[task]
fn double(number: u32) -> u32 {
    number * 2
}

fn main() {
    let child = workflow! { name: "child", steps: [double] };
    let _ = workflow! {
        name: "wrong",
        steps: [flow child],
    };
}
