//! A database in JavaScript's hands: D1, or the SQLite of a Durable Object.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use js_sys::{Array, Promise, Reflect, Uint8Array};
use sayiir_core::future::BoxFuture;
use sayiir_driver::Host;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::host::Isolate;
use crate::sql::{Row, Sql, SqlError, Statement, Value};

#[wasm_bindgen]
extern "C" {
    /// What `js/` makes of a D1 binding or of a Durable Object's storage: lists of `[sql, parameters]` are run as one transaction,
    /// and give a list of rows for each.
    pub type Database;

    #[wasm_bindgen(method, catch)]
    fn batch(this: &Database, statements: Array) -> Result<Promise, JsValue>;
}

/// A [`Sql`] that JavaScript runs.
pub(super) struct JsSql {
    pub(super) database: Database,
    /// How long an answer is waited for. What is asked may be done all the same, so it is asked again unchanged; to wait for
    /// longer than a lease lasts would only keep others from the work.
    pub(super) patience: Option<Duration>,
}

impl Sql for JsSql {
    fn batch(&self, statements: Vec<Statement>) -> BoxFuture<'_, Result<Vec<Vec<Row>>, SqlError>> {
        let statements: Array = statements.into_iter().map(to_js).collect();
        let (asked, patience) = (self.database.batch(statements), self.patience);
        Box::pin(async move {
            let answer = JsFuture::from(asked.map_err(|error| sort(&error))?);
            let answer = match patience {
                None => answer.await,
                Some(patience) => match select(answer, Isolate.sleep(patience)).await {
                    Either::Left((answer, _)) => answer,
                    Either::Right(_) => {
                        return Err(SqlError::NoAnswer(format!("there was no answer within {} ms", patience.as_millis()).into()));
                    }
                },
            };
            let answer = answer.map_err(|error| sort(&error))?;
            Ok(Array::from(&answer).iter().map(|rows| Array::from(&rows).iter().map(|row| from_js(&row)).collect()).collect())
        })
    }
}

fn to_js(statement: Statement) -> JsValue {
    let Statement { sql, params } = statement;
    let params: Array = params.into_iter().map(param).collect();
    Array::of2(&JsValue::from_str(&sql), &params).into()
}

fn param(value: Value) -> JsValue {
    match value {
        Value::Null => JsValue::NULL,
        #[allow(clippy::cast_precision_loss, reason = "a value is within what a JavaScript number holds exactly")]
        Value::Integer(number) => JsValue::from_f64(number as f64),
        Value::Text(text) => JsValue::from_str(&text),
        Value::Blob(bytes) => Uint8Array::from(&*bytes).into(),
    }
}

fn from_js(row: &JsValue) -> Row {
    Row(Array::from(row).iter().map(|value| column(&value)).collect())
}

fn column(value: &JsValue) -> Value {
    if let Some(number) = value.as_f64() {
        #[allow(clippy::cast_possible_truncation, reason = "what this store keeps are integers below 2^53")]
        return Value::Integer(number as i64);
    }
    if let Some(text) = value.as_string() {
        return Value::Text(Arc::from(text));
    }
    match value.dyn_ref::<Uint8Array>() {
        Some(bytes) => Value::Blob(Bytes::from(bytes.to_vec())),
        None => Value::Null,
    }
}

/// What JavaScript's error says.
pub(super) fn message(error: &JsValue) -> String {
    let said = Reflect::get(error, &JsValue::from_str("message")).ok().and_then(|text| text.as_string());
    said.or_else(|| error.as_string()).unwrap_or_else(|| "an error without a message".to_owned())
}

fn sort(error: &JsValue) -> SqlError {
    SqlError::sort(message(error))
}
