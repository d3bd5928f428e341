use sayiir::prelude::*;

#[derive(BranchKey)]
enum Size {
    Small,
    #[branch_key("small")]
    Large,
}

fn main() {}
