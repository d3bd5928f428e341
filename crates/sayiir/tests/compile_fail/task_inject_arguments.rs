use sayiir::prelude::*;

#[task]
async fn charge(x: u32, #[inject(gateway)] y: u32) -> u32 {
    x + y
}

fn main() {}
