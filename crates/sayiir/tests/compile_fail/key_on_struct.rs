use sayiir::prelude::*;

#[derive(BranchKey)]
struct Size;

fn main() {}
