//! The smallest workflow: two steps, in memory. `cargo run -p sayiir --example hello`

use sayiir::prelude::*;

#[task]
async fn greet(name: String) -> String {
    format!("hello {name}")
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let hello = workflow! { name: "hello", steps: [greet, shout(text: String) { text.to_uppercase() }] }?;
    println!("{}", hello.run_once("world".to_owned()).await?);
    Ok(())
}
