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
    let child = workflow! { name: "child", steps: [shout] }.unwrap();
    let _ = workflow! {
        name: "wrong",
        steps: [double, flow child],
    };
}
