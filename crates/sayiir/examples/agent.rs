//! An agent: a model that calls tools until it has an answer. Every call to the model and to a tool is a stored step, so a crash
//! repeats none that has returned. The model is a fake. `cargo run -p sayiir --example agent`

use sayiir::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Message {
    User(String),
    ToolCall { tool: String, argument: String },
    ToolResult(String),
    Answer(String),
}

type Conversation = Vec<Message>;

/// Asks the model what comes next. A real one is asked over the network, so it may fail, and is retried.
#[task(retries = 5, backoff = "200ms", timeout = "2m", tags = "model")]
async fn think(mut conversation: Conversation) -> Result<Conversation, BoxError> {
    let results: Vec<f64> = conversation
        .iter()
        .filter_map(|message| if let Message::ToolResult(result) = message { result.parse().ok() } else { None })
        .collect();
    conversation.push(match results.as_slice() {
        [] => Message::ToolCall { tool: "weather".to_owned(), argument: "Paris".to_owned() },
        [paris] => {
            println!("the model has Paris ({paris}), and asks for Oslo");
            Message::ToolCall { tool: "weather".to_owned(), argument: "Oslo".to_owned() }
        }
        [paris, oslo, ..] => Message::Answer(format!("Paris is {} degrees warmer than Oslo", paris - oslo)),
    });
    Ok(conversation)
}

#[derive(BranchKey)]
enum Next {
    CallTool,
    Answer,
}

#[task]
async fn next(conversation: Conversation) -> String {
    let next = match conversation.last() {
        Some(Message::ToolCall { .. }) => Next::CallTool,
        Some(Message::User(_) | Message::ToolResult(_) | Message::Answer(_)) | None => Next::Answer,
    };
    next.as_key().to_owned()
}

/// Calls the tool that the model asked for. A tool that changes something outside hands on the idempotency key.
#[task(retries = 2)]
async fn call_tool(mut conversation: Conversation) -> Result<Conversation, BoxError> {
    let Some(Message::ToolCall { tool, argument }) = conversation.last().cloned() else { return Err("the model called no tool".into()) };
    let result = match (tool.as_str(), argument.as_str()) {
        ("weather", "Paris") => "21.5",
        ("weather", "Oslo") => "9.5",
        _ => return Err(DoNotRetry::new(format!("there is no tool {tool:?} for {argument:?}")).into()),
    };
    conversation.push(Message::ToolResult(result.to_owned()));
    Ok(conversation)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let agent = workflow! {
        name: "agent",
        steps: [
            loop "turn" [
                think,
                route next -> Next {
                    CallTool => [call_tool, again(conversation: Conversation) { LoopResult::Again(conversation) }],
                    Answer => [done(conversation: Conversation) { LoopResult::Done(conversation) }],
                },
                turned(turn: BranchEnvelope<LoopResult<Conversation>>) { turn.result },
            ] 20,
            answer(conversation: Conversation) {
                conversation.into_iter().rev().find_map(|message| if let Message::Answer(text) = message { Some(text) } else { None }).unwrap_or_default()
            },
        ],
    }?;

    let store = InMemoryBackend::new(); // a program keeps it: SqliteBackend::open("agent.db").await?
    let question = Message::User("How much warmer is Paris than Oslo?".to_owned());
    println!("{}", agent.run_durable(store, "question-1", vec![question]).await?);
    Ok(())
}
