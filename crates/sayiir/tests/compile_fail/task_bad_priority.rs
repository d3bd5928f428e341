use sayiir::prelude::*;

#[task(priority = 9)]
async fn charge(x: u32) -> u32 {
    x
}

fn main() {}
