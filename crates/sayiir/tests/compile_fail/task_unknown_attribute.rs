use sayiir::prelude::*;

#[task(retry = 3)]
async fn charge(x: u32) -> u32 {
    x
}

fn main() {}
