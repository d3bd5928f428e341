use sayiir::prelude::*;

#[task]
fn add(number: u32, #[inject] (left, right): (u32, u32)) -> u32 {
    number + left + right
}

fn main() {}
