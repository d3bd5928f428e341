use sayiir::prelude::*;

#[task(retries = 1, retries = 2)]
async fn charge(x: u32) -> u32 {
    x
}

fn main() {}
