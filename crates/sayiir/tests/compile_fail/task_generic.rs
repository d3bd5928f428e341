use sayiir::prelude::*;

#[task]
async fn same<T>(x: T) -> T {
    x
}

fn main() {}
