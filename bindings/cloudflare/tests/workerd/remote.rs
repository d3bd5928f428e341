//! A database on workerd: each transaction is a line of JSON there, and one back.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sayiir_cloudflare::{Row, Sql, SqlError, Statement, Value};
use sayiir_core::future::BoxFuture;
use serde_json::{Value as Json, json};

/// Names the port at which the databases are asked for.
const PORT: &str = "SAYIIR_WORKERD";

/// Longer than any transaction takes: whoever waits in vain is to fail, not to hang.
const PATIENCE: Duration = Duration::from_mins(1);

/// Connections that nobody uses at the moment: each carries one request at a time.
static IDLE: Mutex<Vec<BufReader<TcpStream>>> = Mutex::new(Vec::new());

/// Whose SQLite it is.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    D1,
    Object,
}

/// One database, empty at first.
pub(crate) struct Remote {
    name: Json,
}

impl Remote {
    pub(crate) fn new(kind: Kind) -> Arc<Self> {
        let kind = match kind {
            Kind::D1 => "d1",
            Kind::Object => "object",
        };
        let mut answer = ask(&json!({ "open": kind })).unwrap();
        Arc::new(Self { name: answer["home"].take() })
    }

    fn run(&self, statements: &[Statement]) -> Result<Vec<Vec<Row>>, SqlError> {
        let statements: Vec<Json> =
            statements.iter().map(|Statement { sql, params }| json!([sql, params.iter().map(to_json).collect::<Vec<_>>()])).collect();
        let answer = ask(&json!({ "home": self.name, "statements": statements })).map_err(|error| SqlError::NoAnswer(error.into()))?;
        match answer.get("error") {
            Some(error) => Err(SqlError::sort(error.as_str().unwrap().to_owned())),
            None => Ok(list(&answer["rows"]).iter().map(|rows| list(rows).iter().map(row).collect()).collect()),
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // Whatever went wrong was heard in `run`; a second panic would hide it.
        drop(ask(&json!({ "close": self.name })));
    }
}

impl Sql for Remote {
    fn batch(&self, statements: Vec<Statement>) -> BoxFuture<'_, Result<Vec<Vec<Row>>, SqlError>> {
        Box::pin(std::future::ready(self.run(&statements)))
    }
}

fn ask(request: &Json) -> std::io::Result<Json> {
    let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let mut connection = idle.map_or_else(connect, Ok)?;
    connection.get_mut().write_all(format!("{request}\n").as_bytes())?;
    let mut answer = String::new();
    connection.read_line(&mut answer)?;
    let answer = serde_json::from_str(&answer)?;
    IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    Ok(answer)
}

fn connect() -> std::io::Result<BufReader<TcpStream>> {
    let port = std::env::var(PORT).expect("workerd is started by `node bindings/cloudflare/workerd/run.mjs cargo test ..`");
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port.parse().unwrap()))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Integer(number) => json!(number),
        Value::Text(text) => json!(&**text),
        Value::Blob(bytes) => json!({ "hex": hex(bytes) }),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

fn row(row: &Json) -> Row {
    Row(list(row).iter().map(value).collect())
}

fn value(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Number(number) => Value::Integer(number.as_i64().unwrap_or_else(|| panic!("{number} is no integer"))),
        Json::String(text) => Value::Text(Arc::from(text.as_str())),
        Json::Object(bytes) => {
            let hex = bytes["hex"].as_str().unwrap().as_bytes().chunks(2);
            Value::Blob(hex.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect::<Vec<u8>>().into())
        }
        Json::Bool(_) | Json::Array(_) => panic!("{value} is no value of SQLite"),
    }
}

fn list(list: &Json) -> &[Json] {
    list.as_array().unwrap()
}
