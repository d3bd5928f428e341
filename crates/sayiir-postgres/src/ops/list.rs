//! Lists of instances: one statement, put together from what is asked for, so that the planner sees only that.

use std::time::Duration;

use sayiir_core::attribute::AttributeValue;
use sayiir_persistence::{AgeRange, AttributeFilter, AttributeTest, InstanceFilter, InstanceSummary, ListOrder, RunState, running_sql};
use sqlx::{Postgres, QueryBuilder};

use crate::fault::Outcome;
use crate::ops::queries;
use crate::rows::{db, instance_row, most};
use crate::tx::Tx;

/// How many instances a page has if the caller does not say.
const PAGE: usize = 1000;

pub(crate) async fn list(tx: &mut Tx<'_>, filter: &InstanceFilter) -> Outcome<Vec<InstanceSummary>> {
    tx.tell_time().await?;
    let mut query = query(tx, filter);
    let mut summaries = Vec::new();
    for row in query.build().persistent(false).fetch_all(&mut *tx.conn).await? {
        summaries.push(queries::summarize(tx, instance_row(&row)?).await?);
    }
    Ok(summaries)
}

fn query(tx: &Tx<'_>, filter: &InstanceFilter) -> QueryBuilder<Postgres> {
    let InstanceFilter { workflow, states, running, attributes, error_contains, created, updated, after, order, limit } = filter;
    let begin = "SELECT i.*, d.hash, d.name, d.version FROM instance i LEFT JOIN definition d ON d.id = i.definition WHERE i.status > 0";
    let mut query = QueryBuilder::new(begin);
    if let Some(name) = workflow {
        query.push(" AND i.definition IN (SELECT id FROM definition WHERE name = ").push_bind(name.clone()).push(")");
    }
    if !states.is_empty() {
        let any: Vec<_> = states.iter().copied().map(is_in).collect();
        query.push(" AND (").push(any.join(" OR ")).push(")");
    }
    if !running.is_empty() {
        let (before, after) = running_sql(running, "branch");
        query
            .push(" AND (NOT ")
            .push(is_in(RunState::Running))
            .push(" OR ")
            .push(before)
            .push_bind(tx.now.as_micros())
            .push(after)
            .push(")");
    }
    for attribute in attributes {
        has(&mut query, attribute);
    }
    if let Some(text) = error_contains {
        query.push(
            " AND i.status = 3 AND EXISTS (SELECT 1 FROM journal j WHERE j.run = i.run AND j.branch = i.end_branch \
             AND j.revision = i.end_revision AND strpos(j.error, ",
        );
        query.push_bind(text.clone()).push(") > 0)");
    }
    age(tx, &mut query, "i.created_at", *created);
    age(tx, &mut query, "i.updated_at", *updated);
    match order {
        ListOrder::ById => {
            query.push(" AND i.instance_id > ").push_bind(after.as_deref().unwrap_or_default().to_owned());
            query.push(" ORDER BY i.instance_id LIMIT ");
        }
        ListOrder::NewestFirst { before } => {
            if let Some(before) = before {
                query.push(" AND i.run < ").push_bind(db(before.0));
            }
            query.push(" ORDER BY i.run DESC LIMIT ");
        }
    }
    query.push_bind(most(limit.unwrap_or(PAGE)));
    query
}

const fn is_in(state: RunState) -> &'static str {
    match state {
        RunState::Running => "(i.status = 1 AND NOT i.paused)",
        RunState::Paused => "(i.status = 1 AND i.paused)",
        RunState::Completed => "i.status = 2",
        RunState::Failed => "i.status = 3",
        RunState::Cancelled => "i.status = 4",
    }
}

fn has(query: &mut QueryBuilder<Postgres>, filter: &AttributeFilter) {
    let AttributeFilter { name, test } = filter;
    let (compare, value) = match test {
        AttributeTest::Is(value) => (" = ", value),
        AttributeTest::AtLeast(value) => (" >= ", value),
        AttributeTest::AtMost(value) => (" <= ", value),
    };
    query.push(" AND i.run IN (SELECT a.run FROM attribute a WHERE a.name = ").push_bind(name.to_string());
    match (value, value.as_number()) {
        (AttributeValue::Text(text), _) => query.push(" AND a.text").push(compare).push_bind(text.to_string()),
        (_, number) => {
            query.push(" AND a.kind = ").push_bind(i16::from(value.type_number()));
            query.push(" AND a.number").push(compare).push_bind(number)
        }
    };
    query.push(")");
}

fn age(tx: &Tx<'_>, query: &mut QueryBuilder<Postgres>, column: &str, range: AgeRange) {
    let AgeRange { at_least, at_most } = range;
    let ago = |age: Duration| (tx.now - age).as_micros();
    if let Some(age) = at_least {
        query.push(" AND ").push(column).push(" <= ").push_bind(ago(age));
    }
    if let Some(age) = at_most {
        query.push(" AND ").push(column).push(" >= ").push_bind(ago(age));
    }
}
