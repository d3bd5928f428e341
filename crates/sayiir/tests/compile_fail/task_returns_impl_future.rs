use sayiir::prelude::*;

#[task]
fn charge(x: u32) -> impl Future<Output = u32> {
    async move { x }
}

fn main() {}
