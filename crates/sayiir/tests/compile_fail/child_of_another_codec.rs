//! A child workflow of another codec.
use sayiir::prelude::*;

#[task]
async fn number(x: u32) -> u32 {
    x
}

#[task]
async fn text(x: u32) -> String {
    x.to_string()
}

use sayiir::serialization::RkyvCodec;

fn main() {
    let child = workflow! { name: "child", codec: RkyvCodec, steps: [number] }.unwrap();
    let _ = workflow! { name: "w", steps: [number, flow child] };
}
