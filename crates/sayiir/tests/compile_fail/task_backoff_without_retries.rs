use sayiir::prelude::*;

#[task(backoff = "1s")]
async fn charge(x: u32) -> u32 {
    x
}

fn main() {}
