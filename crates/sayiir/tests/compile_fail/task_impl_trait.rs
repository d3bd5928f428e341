use sayiir::prelude::*;

#[task]
async fn show(x: impl ToString) -> String {
    x.to_string()
}

fn main() {}
