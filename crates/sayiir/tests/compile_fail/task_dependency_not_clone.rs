use sayiir::prelude::*;

struct Pool;

#[task]
fn ask(number: u32, #[inject] _pool: Pool) -> u32 {
    number
}

fn main() {}
