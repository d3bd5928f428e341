//! Lists of instances: one statement, put together from what is asked for.

use std::collections::HashMap;
use std::time::Duration;

use sayiir_core::attribute::AttributeValue;
use sayiir_core::branch::RunNumber;
use sayiir_core::time::Timestamp;
use sayiir_persistence::{
    AgeRange, AttributeFilter, AttributeTest, BranchSummary, InstanceFilter, InstanceSummary, ListOrder, RunState, running_sql,
};

use super::SqlStore;
use super::fault::Outcome;
use super::read::{branches_of, in_list};
use super::rows::{InstanceRow, instances, summary};
use crate::sql::{Statement, Value, statement};

/// How many instances a page has if the caller does not say.
const PAGE: usize = 1000;

impl SqlStore {
    pub(super) async fn list_instances(self, filter: InstanceFilter) -> Outcome<Vec<InstanceSummary>> {
        let now = self.now();
        let rows = self.ask(query(&filter, now)).await?;
        let found = rows.iter().filter_map(|row| InstanceRow::read(row).transpose()).collect::<Outcome<Vec<_>>>()?;
        let running: Vec<_> = found.iter().filter(|instance| instance.state == RunState::Running).map(|instance| instance.run.0).collect();
        let mut branches: HashMap<RunNumber, Vec<BranchSummary>> = HashMap::new();
        if !running.is_empty() {
            let runs = serde_json::to_string(&running).unwrap_or_default();
            let rows = self.ask(statement!(branches_of("b.run IN (SELECT value FROM json_each(?1))"), runs)).await?;
            for row in rows {
                let (run, branch) = summary(&row)?;
                branches.entry(run).or_default().push(branch);
            }
        }
        let of = |run| branches.get(&run).map_or(&[][..], Vec::as_slice);
        Ok(found.into_iter().map(|instance| in_list(instance.clone(), of(instance.run), now)).collect())
    }
}

/// A statement on its way.
struct Query {
    sql: String,
    params: Vec<Value>,
}

impl Query {
    /// Adds a text, and the values that its marks `?` stand for.
    fn push(&mut self, text: &str, values: impl IntoIterator<Item = Value>) -> &mut Self {
        self.sql.push_str(text);
        self.params.extend(values);
        self
    }
}

fn query(filter: &InstanceFilter, now: Timestamp) -> Statement {
    let InstanceFilter { workflow, states, running, attributes, error_contains, created, updated, after, order, limit } = filter;
    let mut query = Query { sql: instances!("WHERE i.status > 0").to_owned(), params: Vec::new() };
    if let Some(name) = workflow {
        query.push(" AND d.name = ?", [name.into()]);
    }
    if !states.is_empty() {
        let any: Vec<_> = states.iter().copied().map(is_in).collect();
        query.push(" AND (", []).push(&any.join(" OR "), []).push(")", []);
    }
    if !running.is_empty() {
        let (before, after) = running_sql(running, "sayiir_branch");
        query.push(&format!(" AND (NOT {} OR {before}?{after})", is_in(RunState::Running)), [now.into()]);
    }
    for attribute in attributes {
        has(&mut query, attribute);
    }
    if let Some(text) = error_contains {
        let condition = " AND i.status = 3 AND EXISTS (SELECT 1 FROM sayiir_journal j WHERE j.run = i.run AND j.branch = i.end_branch \
                         AND j.revision = i.end_revision AND instr(j.error, ?) > 0)";
        query.push(condition, [text.into()]);
    }
    age(&mut query, "created_at", *created, now);
    age(&mut query, "updated_at", *updated, now);
    match order {
        ListOrder::ById => query.push(" AND i.instance_id > ? ORDER BY i.instance_id", [after.as_deref().unwrap_or_default().into()]),
        ListOrder::NewestFirst { before: None } => query.push(" ORDER BY i.run DESC", []),
        ListOrder::NewestFirst { before: Some(before) } => query.push(" AND i.run < ? ORDER BY i.run DESC", [(*before).into()]),
    };
    query.push(" LIMIT ?", [limit.unwrap_or(PAGE).into()]);
    Statement { sql: query.sql.into(), params: query.params }
}

const fn is_in(state: RunState) -> &'static str {
    match state {
        RunState::Running => "(i.status = 1 AND i.paused = 0)",
        RunState::Paused => "(i.status = 1 AND i.paused = 1)",
        RunState::Completed => "i.status = 2",
        RunState::Failed => "i.status = 3",
        RunState::Cancelled => "i.status = 4",
    }
}

fn has(query: &mut Query, filter: &AttributeFilter) {
    let AttributeFilter { name, test } = filter;
    let (compare, value) = match test {
        AttributeTest::Is(value) => (" = ?", value),
        AttributeTest::AtLeast(value) => (" >= ?", value),
        AttributeTest::AtMost(value) => (" <= ?", value),
    };
    query.push(" AND i.run IN (SELECT a.run FROM sayiir_attribute a WHERE a.name = ?", [name.into()]);
    match (value, value.as_number()) {
        (AttributeValue::Text(text), _) => query.push(" AND a.kind = 1 AND a.text", []).push(compare, [text.into()]),
        (_, number) => {
            let kind = u32::from(value.type_number());
            query.push(" AND a.kind = ? AND a.number", [kind.into()]).push(compare, [number.into()])
        }
    }
    .push(")", []);
}

fn age(query: &mut Query, column: &str, range: AgeRange, now: Timestamp) {
    let AgeRange { at_least, at_most } = range;
    let ago = |age: Duration| Value::from(now - age);
    if let Some(age) = at_least {
        query.push(" AND i.", []).push(column, []).push(" <= ?", [ago(age)]);
    }
    if let Some(age) = at_most {
        query.push(" AND i.", []).push(column, []).push(" >= ?", [ago(age)]);
    }
}
