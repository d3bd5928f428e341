use sayiir::prelude::*;

#[task(timeout = "30 parsecs")]
async fn charge(x: u32) -> u32 {
    x
}

fn main() {}
