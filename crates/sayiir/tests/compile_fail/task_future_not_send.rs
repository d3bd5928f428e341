use sayiir::prelude::*;

use std::rc::Rc;

async fn pause() {}

#[task]
async fn counts(number: u32) -> u32 {
    let shared = Rc::new(number);
    pause().await;
    *shared
}

fn main() {}
