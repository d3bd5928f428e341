use sayiir::prelude::*;

struct Opaque;

#[task]
async fn hide(_x: u32) -> Opaque {
    Opaque
}

fn main() {
    let _ = workflow! { name: "w", steps: [hide] };
}
