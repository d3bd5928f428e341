use sayiir::prelude::*;

#[derive(BranchKey)]
enum Size {
    Small(u32),
    Large,
}

fn main() {}
