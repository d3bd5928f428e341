use sayiir::prelude::*;

#[task]
async fn shout(text: String, #[inject] prefix: &str) -> String {
    format!("{prefix}{text}")
}

fn main() {}
