use sayiir::prelude::*;

struct NoError;

#[task]
async fn charge(x: u32) -> Result<u32, NoError> {
    Ok(x)
}

fn main() {}
