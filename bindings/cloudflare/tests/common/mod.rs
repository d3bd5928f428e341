//! SQLite as D1 and Durable Objects have it: transactions of whole lists, numbers as JavaScript's, and workerd's limits.

use std::sync::{Arc, Mutex};

use rusqlite::limits::Limit;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql};
use sayiir_cloudflare::{Row, Sql, SqlError, Statement, Value};
use sayiir_core::future::BoxFuture;

/// One database in memory.
pub(crate) struct Native(Mutex<Connection>);

/// What workerd sets for D1 and for Durable Objects.
const LIMITS: &[(Limit, i32)] = &[
    (Limit::SQLITE_LIMIT_SQL_LENGTH, 100_000),
    (Limit::SQLITE_LIMIT_LENGTH, 2_000_000),
    (Limit::SQLITE_LIMIT_COLUMN, 100),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 100),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 5),
    (Limit::SQLITE_LIMIT_VDBE_OP, 25_000),
    (Limit::SQLITE_LIMIT_FUNCTION_ARG, 32),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 50),
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 100),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 10),
];

impl Native {
    pub(crate) fn new() -> Arc<Self> {
        let conn = Connection::open_in_memory().unwrap();
        for (limit, value) in LIMITS {
            conn.set_limit(*limit, *value).unwrap();
        }
        Arc::new(Self(Mutex::new(conn)))
    }

    fn run(&self, statements: &[Statement]) -> rusqlite::Result<Vec<Vec<Row>>> {
        let mut conn = self.0.lock().unwrap();
        let tx = conn.transaction()?;
        let answers = statements.iter().map(|statement| rows(&tx, statement)).collect::<rusqlite::Result<Vec<_>>>()?;
        tx.commit()?;
        Ok(answers)
    }
}

/// A parameter as JavaScript binds it: every number is a float.
struct Bound<'a>(&'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            #[allow(clippy::cast_precision_loss, reason = "that is what happens there; what is stored is exact")]
            Value::Integer(number) => ToSqlOutput::from(*number as f64),
            Value::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Value::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

fn rows(conn: &Connection, statement: &Statement) -> rusqlite::Result<Vec<Row>> {
    let mut prepared = conn.prepare_cached(&statement.sql)?;
    let columns = prepared.column_count();
    assert_names(&prepared);
    let params = rusqlite::params_from_iter(statement.params.iter().map(Bound));
    let found = prepared.query_map(params, |row| {
        let values = (0..columns).map(|index| row.get_ref(index).map(value));
        values.collect::<rusqlite::Result<Vec<_>>>().map(Row)
    })?;
    found.collect()
}

/// D1 gives a row as an object, whose keys are the names of its columns: one of two namesakes is lost there, and numbers come first.
fn assert_names(prepared: &rusqlite::Statement<'_>) {
    let mut names: Vec<_> = prepared.column_names().collect();
    assert!(names.len() < 2 || names.iter().all(|name| name.parse::<u32>().is_err()), "columns out of order: {names:?}");
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "namesakes among columns: {names:?}");
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => {
            assert!(number.unsigned_abs() < 1 << 53, "{number} is no JavaScript number");
            Value::Integer(number)
        }
        #[allow(clippy::cast_possible_truncation, reason = "it is checked")]
        ValueRef::Real(number) => {
            assert!(number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0, "{number} is no integer");
            Value::Integer(number as i64)
        }
        ValueRef::Text(text) => Value::Text(Arc::from(std::str::from_utf8(text).unwrap())),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec().into()),
    }
}

impl Sql for Native {
    fn batch(&self, statements: Vec<Statement>) -> BoxFuture<'_, Result<Vec<Vec<Row>>, SqlError>> {
        let answer = self.run(&statements).map_err(|error| match error.sqlite_error_code() {
            Some(code) => SqlError::sort(format!("{error}: SQLITE_ERROR ({code:?})")),
            None => SqlError::Refused(error.into()),
        });
        Box::pin(std::future::ready(answer))
    }
}
