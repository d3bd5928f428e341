use sayiir::prelude::*;

#[derive(Clone)]
struct Order;

fn main() {
    let _ = workflow! {
        name: "wrong",
        steps: [take(order: Order) { drop(order); 5 }],
    };
}
