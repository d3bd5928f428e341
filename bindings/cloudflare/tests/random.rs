//! Random workflows with faults on the store of D1 and Durable Objects, under workerd's limits.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by panicking")]

#[path = "common/cases.rs"]
mod cases;
mod common;

use std::sync::Arc;

use cases::check_cases;
use common::Native;
use sayiir_cloudflare::Sql;
use sayiir_reference::Driver;

fn fresh() -> Arc<dyn Sql> {
    Native::new()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_comes_to_what_the_reference_says() {
    check_cases(fresh, 0..60, Driver::Checkpointing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_come_to_what_the_reference_says() {
    check_cases(fresh, 60..90, Driver::Worker).await;
    check_cases(fresh, 90..110, Driver::TwoWorkers).await;
}
