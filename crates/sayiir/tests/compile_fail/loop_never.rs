use sayiir::prelude::*;

#[task]
async fn down(x: u32) -> LoopResult<u32> {
    LoopResult::Done(x)
}

fn main() {
    let _ = workflow! { name: "w", steps: [loop down 0] };
}
