//! The statements of the hot paths find their rows by keys, whatever the planner believes of the tables: none scans a table or
//! a whole index, neither on empty tables, where a plan may have been made, nor on large ones.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by panicking")]

use sayiir_pg_testserver::shared;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row};

use crate::commit::{FAST, FULL, WHY};
use crate::connect::{parse, tuned};
use crate::mail::SEND;
use crate::ops::claim::{CLAIM_BRANCH, CLAIM_DEFINITIONS, CLAIM_INSTANCE, NEXT_OF_BRANCH, NEXT_OF_DEFINITIONS, NEXT_OF_INSTANCE, RENEW};
use crate::ops::events::WAKE;
use crate::ops::journal::{LAST_VALUES, SUB_STEPS, VALUES};
use crate::ops::purge::{HEADS, REST, STILL_ENDED, STILL_OLD, STILL_UNCLAIMED, UNCLAIMED};
use crate::ops::views::{BY_KEYS, BY_RUN};
use crate::options::PostgresOptions;
use crate::schema;
use crate::starts::START;

const STATEMENTS: &[(&str, &str)] = &[
    ("fast commit", FAST),
    ("full commit", FULL),
    ("reasons", WHY),
    ("claim", CLAIM_DEFINITIONS),
    ("claim of an instance", CLAIM_INSTANCE),
    ("claim of a branch", CLAIM_BRANCH),
    ("next due", NEXT_OF_DEFINITIONS),
    ("next due of an instance", NEXT_OF_INSTANCE),
    ("next due of a branch", NEXT_OF_BRANCH),
    ("renewal", RENEW),
    ("wake", WAKE),
    ("values", VALUES),
    ("last values", LAST_VALUES),
    ("sub-steps", SUB_STEPS),
    ("views", BY_KEYS),
    ("views of a run", BY_RUN),
    ("start", START),
    ("events", SEND),
    ("purge", STILL_ENDED),
    ("heads of a purge", HEADS),
    ("rest of a purge", REST),
    ("unclaimed events", UNCLAIMED),
    ("unclaimed events, locked", STILL_UNCLAIMED),
    ("unclaimed events, still old", STILL_OLD),
];

/// Tables that are small by what they are: a row for each definition, and for each set of tags.
const SMALL: [&str; 2] = ["definition", "lane"];

async fn plan(conn: &mut PgConnection, statement: &str) -> String {
    let sql = format!("PREPARE p AS {statement}");
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *conn).await.unwrap();
    let sql = "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'p'";
    let count: i32 = sqlx::query(sql).fetch_one(&mut *conn).await.unwrap().get(0);
    let nulls = vec!["NULL"; usize::try_from(count).unwrap()].join(", ");
    let rows = sqlx::raw_sql(AssertSqlSafe(format!("EXPLAIN EXECUTE p({nulls})"))).fetch_all(&mut *conn).await.unwrap();
    sqlx::raw_sql("DEALLOCATE p").execute(conn).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>().join("\n")
}

/// The lines of a plan that read more than a key leads to.
fn scans(plan: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut lines = plan.lines().peekable();
    while let Some(line) = lines.next() {
        let of_small = SMALL.iter().any(|table| line.contains(&format!(" on {table} ")));
        let by_index = line.contains("Index Scan") || line.contains("Index Only Scan");
        let keyed = lines.peek().is_some_and(|next| next.contains("Index Cond"));
        if !of_small && (line.contains("Seq Scan") || (by_index && !keyed)) {
            found.push(line.trim());
        }
    }
    found
}

const FILL: &str = "INSERT INTO branch (run, branch, revision, input_branch, input_revision, fork_revision, due_at, run_at, moved_at, \
     attempt_at, lane, attempt, phase, priority, node, lease, awaits) SELECT g / 20, '0.1.' || g, 1, '0', 1, 0, g, g, g, g, g % 20, 0, 0, 3, 'n', \
     CASE WHEN g % 3 = 0 THEN g % 7 END, CASE WHEN g % 5 = 0 THEN 'go' END FROM generate_series(1, 20000) g; \
     INSERT INTO instance (instance_id, run, status, created_at, updated_at, definition) \
     SELECT 'i' || g, g, (g % 100 <> 0)::integer, g, g, CASE WHEN g % 100 <> 0 THEN g % 20 END FROM generate_series(1, 100000) g; \
     INSERT INTO journal (run, branch, revision, at, attempt, kind, node) SELECT g / 20, '0', g, g, 1, 2, 'n' FROM generate_series(1, 20000) g; \
     INSERT INTO event SELECT g / 5, 'go', g, g, '' FROM generate_series(1, 20000) g; \
     INSERT INTO session SELECT g, 'h', 1, '', 'w' FROM generate_series(1, 2000) g; ANALYZE";

#[tokio::test]
async fn every_hot_statement_finds_its_rows_by_keys() {
    let options = PostgresOptions::default().with_schema("plans");
    let mut conn = tuned(parse(&shared().unwrap().url()).unwrap(), &options).connect().await.unwrap();
    schema::prepare(&mut conn, "plans", true).await.unwrap();
    for filled in ["empty", "filled"] {
        if filled == "filled" {
            sqlx::raw_sql(FILL).execute(&mut conn).await.unwrap();
        }
        for (name, statement) in STATEMENTS {
            let plan = plan(&mut conn, statement).await;
            assert_eq!(scans(&plan), Vec::<&str>::new(), "{name}, tables {filled}:\n{plan}");
        }
    }
    conn.close().await.unwrap();
}

#[test]
fn a_scan_is_seen_in_a_plan() {
    assert_eq!(scans("Seq Scan on branch b  (cost=..)"), ["Seq Scan on branch b  (cost=..)"]);
    assert_eq!(scans("->  Index Scan using branch_pkey on branch b\n  Filter: x"), ["->  Index Scan using branch_pkey on branch b"]);
    assert!(scans("Index Scan using branch_pkey on branch b\n  Index Cond: x").is_empty());
    assert!(scans("Seq Scan on lane l").is_empty());
}
