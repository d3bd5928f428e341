use sayiir::prelude::*;

#[task]
struct Charge;

fn main() {}
