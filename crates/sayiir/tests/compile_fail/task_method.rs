use sayiir::prelude::*;

struct Service;

impl Service {
    #[task]
    async fn charge(&self, x: u32) -> u32 {
        x
    }
}

fn main() {}
