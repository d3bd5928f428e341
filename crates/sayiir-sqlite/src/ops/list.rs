//! Lists of instances. Each list is read along an index that its filter names: by attribute, else by rare state, else by workflow,
//! else by id or run; of several definitions or states a page of each, merged.

use rusqlite::Connection;
use rusqlite::types::Value;
use sayiir_core::branch::RunNumber;
use sayiir_persistence::{AgeRange, AttributeFilter, AttributeTest, InstanceFilter, InstanceSummary, ListOrder, RunState, running_sql};
use std::sync::Arc;
use std::time::Duration;

use crate::fault::Outcome;
use crate::ops::queries;
use crate::rows::{col, instance_of};
use crate::tx::{Look, rows, rows_of};

/// How many instances a page has if the caller does not say.
const PAGE: usize = 1000;

/// A place in both orders.
type Key = (Arc<str>, RunNumber);

pub(crate) fn list(look: Look<'_>, filter: &InstanceFilter) -> Outcome<Vec<InstanceSummary>> {
    let limit = filter.limit.unwrap_or(PAGE);
    let fails = filter.states.is_empty() || filter.states.contains(&RunState::Failed);
    if filter.error_contains.is_some() && !fails {
        return Ok(Vec::new());
    }
    let mut keys: Vec<Key> = Vec::new();
    for along in arms(look.conn, filter)? {
        let Query { sql, params } = query(look, filter, &along, limit);
        keys.extend(rows_of(look.conn, &sql, params, |row| Ok((row.get("instance_id")?, col(row, "run")?)))?);
    }
    match filter.order {
        ListOrder::ById => keys.sort_unstable(),
        ListOrder::NewestFirst { .. } => keys.sort_unstable_by_key(|(_, run)| std::cmp::Reverse(*run)),
    }
    keys.truncate(limit);
    let found = keys.into_iter().map(|(_, run)| instance_of(look.conn, run)).filter_map(Outcome::transpose);
    found.map(|instance| queries::summarize(look, instance?)).collect()
}

/// What a part of the list is read along.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Along<'a> {
    /// The instances with this attribute.
    Attribute(&'a AttributeFilter),
    /// Those in this state, which is not the common one.
    State(RunState),
    /// Those of this definition.
    Definition(i64),
    /// All of them.
    All,
}

fn arms<'a>(conn: &Connection, filter: &'a InstanceFilter) -> Outcome<Vec<Along<'a>>> {
    if let Some(attribute) = filter.attributes.first() {
        return Ok(vec![Along::Attribute(attribute)]);
    }
    let states = states(filter);
    if !states.is_empty() && !states.contains(&RunState::Completed) {
        return Ok(states.into_iter().map(Along::State).collect());
    }
    match (&filter.workflow, filter.order) {
        (Some(name), ListOrder::ById) => {
            let ids = rows(conn, "SELECT id FROM definition WHERE name = ?1", [name], |row| row.get(0))?;
            Ok(ids.into_iter().map(Along::Definition).collect())
        }
        (Some(_), ListOrder::NewestFirst { .. }) | (None, _) => Ok(vec![Along::All]),
    }
}

/// The states that are asked for, each once; none if all are.
fn states(filter: &InstanceFilter) -> Vec<RunState> {
    let all = [RunState::Running, RunState::Paused, RunState::Completed, RunState::Failed, RunState::Cancelled];
    let asked = |state: &RunState| {
        let by_state = filter.states.contains(state) || (filter.states.is_empty() && filter.error_contains.is_some());
        by_state && (filter.error_contains.is_none() || *state == RunState::Failed)
    };
    all.into_iter().filter(asked).collect()
}

/// A statement and its values.
pub(crate) struct Query {
    pub(crate) sql: String,
    pub(crate) params: Vec<Value>,
}

impl Query {
    /// One more condition, with the values of its question marks.
    fn and(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.params.extend(values);
    }

    fn attribute(&mut self, table: &str, filter: &AttributeFilter) -> String {
        let AttributeFilter { name, test } = filter;
        let (compare, value) = match test {
            AttributeTest::Is(value) => ("=", value),
            AttributeTest::AtLeast(value) => (">=", value),
            AttributeTest::AtMost(value) => ("<=", value),
        };
        let number = value.as_number().map_or_else(|| Value::Text(value.to_string()), Value::Integer);
        self.params.extend([Value::Text(name.to_string()), Value::Integer(value.type_number().into()), number]);
        format!("{table}.name = ? AND {table}.kind = ? AND {table}.value {compare} ?")
    }
}

pub(crate) fn query(look: Look<'_>, filter: &InstanceFilter, along: &Along<'_>, limit: usize) -> Query {
    let InstanceFilter { workflow, states: _, running, attributes, error_contains, created, updated, after, order, limit: _ } = filter;
    let mut query = Query { sql: "SELECT i.instance_id, i.run FROM ".to_owned(), params: Vec::new() };
    match along {
        Along::Attribute(first) => {
            let test = query.attribute("a", first);
            query.sql += "attribute a INDEXED BY attribute_value CROSS JOIN instance i ON i.run = a.run WHERE ";
            query.sql += &test;
            query.sql += " AND i.status > 0";
        }
        Along::State(state) => {
            query.sql += "instance i INDEXED BY instance_in_state WHERE ";
            query.sql += is_in(*state);
        }
        Along::Definition(definition) => {
            query.sql += "instance i INDEXED BY instance_of_workflow WHERE i.definition = ?";
            query.params.push(Value::Integer(*definition));
        }
        Along::All => query.sql += "instance i WHERE +i.status > 0",
    }
    let states = states(filter);
    if !states.is_empty() && !matches!(along, Along::State(_)) {
        let any: Vec<_> = states.into_iter().map(is_in).collect();
        query.and(&format!("({})", any.join(" OR ")), []);
    }
    if !running.is_empty() && matches!(along, Along::State(RunState::Running)) {
        let (before, after) = running_sql(running, "branch");
        query.and(&format!("{before}?{after}"), [Value::Integer(look.now.as_micros())]);
    } else if !running.is_empty() {
        let (before, after) = running_sql(running, "branch");
        query.and(&format!("(NOT {} OR {before}?{after})", is_in(RunState::Running)), [Value::Integer(look.now.as_micros())]);
    }
    if let (Some(name), Along::Attribute(_) | Along::State(_) | Along::All) = (workflow, along) {
        query.and("+i.definition IN (SELECT id FROM definition WHERE name = ?)", [Value::Text(name.clone())]);
    }
    for attribute in attributes.iter().skip(1) {
        let test = query.attribute("b", attribute);
        query.and(&format!("EXISTS (SELECT 1 FROM attribute b WHERE b.run = i.run AND {test})"), []);
    }
    if let Some(text) = error_contains {
        let condition = "EXISTS (SELECT 1 FROM journal j WHERE j.run = i.run AND j.branch = i.end_branch AND j.revision = i.end_revision \
                         AND instr(j.error, ?) > 0)";
        query.and(condition, [Value::Text(text.clone())]);
    }
    ages(look, &mut query, "created_at", *created);
    ages(look, &mut query, "updated_at", *updated);
    let most = Value::Integer(i64::try_from(limit).unwrap_or(i64::MAX));
    match order {
        ListOrder::ById => {
            let after = after.as_deref().unwrap_or_default().to_owned();
            query.and("i.instance_id > ? ORDER BY i.instance_id LIMIT ?", [Value::Text(after), most]);
        }
        ListOrder::NewestFirst { before } => {
            let before = before.map_or(i64::MAX, |run| i64::try_from(run.0).unwrap_or(i64::MAX));
            query.and("i.run < ? ORDER BY i.run DESC LIMIT ?", [Value::Integer(before), most]);
        }
    }
    query
}

fn is_in(state: RunState) -> &'static str {
    match state {
        RunState::Running => "(i.status = 1 AND i.paused = 0)",
        RunState::Paused => "(i.status = 1 AND i.paused = 1)",
        RunState::Completed => "i.status = 2",
        // An ended run is never paused; to say so lets the index keep the order.
        RunState::Failed => "(i.status = 3 AND i.paused = 0)",
        RunState::Cancelled => "(i.status = 4 AND i.paused = 0)",
    }
}

fn ages(look: Look<'_>, query: &mut Query, column: &str, range: AgeRange) {
    let AgeRange { at_least, at_most } = range;
    let ago = |age: Duration| Value::Integer((look.now - age).as_micros());
    if let Some(age) = at_least {
        query.and(&format!("+i.{column} <= ?"), [ago(age)]);
    }
    if let Some(age) = at_most {
        query.and(&format!("+i.{column} >= ?"), [ago(age)]);
    }
}
