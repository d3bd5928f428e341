//! What is reported, for people and for machines.

use serde::Serialize;

use crate::soak::Period;
use crate::store::Kind;

/// The figures of one workload: medians over the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) workload: &'static str,
    pub(crate) store: Kind,
    pub(crate) rounds: usize,
    pub(crate) instances: usize,
    /// Of one instance; 1 where it does not fork.
    pub(crate) branches: usize,
    /// Over all rounds where a round's number is chance (recovery), else of one.
    pub(crate) steps_needed: usize,
    pub(crate) steps_executed: usize,
    pub(crate) seconds: f64,
    pub(crate) steps_per_second: f64,
    /// Of an instance, from start to end.
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) peak_rss_mb: f64,
    pub(crate) raw_commits_per_second: f64,
    /// The median time of an instance in raw commits.
    pub(crate) p50_in_raw_commits: f64,
    /// Steps in the time of one raw commit.
    pub(crate) steps_per_raw_commit: f64,
    pub(crate) statements_per_step: f64,
    pub(crate) bytes_per_step: f64,
    #[serde(flatten)]
    pub(crate) more: More,
}

/// What only some workloads have.
#[derive(Debug, Default, Serialize)]
pub(crate) struct More {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_100: Option<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_100: Option<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lost: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repeated: Option<usize>,
    /// From the opening of the store after the crash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seconds_to_complete: Option<f64>,
    /// From the crash: on another host the leases of the dead process go on from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seconds_since_crash: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seconds_to_park: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idle_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idle_cpu_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idle_queries: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idle_queries_per_minute: Option<f64>,
    /// More than before the first instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parked_mb: Option<f64>,
    /// From the first event that was sent until all had ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seconds_to_wake: Option<f64>,
    /// How late the tasks behind a delay began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timer_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timer_p99_ms: Option<f64>,
    /// How many of them began after one that was due later, and by how much they were due sooner at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timer_out_of_order: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timer_out_of_order_ms: Option<f64>,
    /// In the last part of a long run; the others are of its first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_p99_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) periods: Option<Vec<Period>>,
}

/// A part of a long instance.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Part {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
    pub(crate) ms: f64,
}

impl Report {
    /// Prints a line of JSON, or a table.
    pub(crate) fn print(&self, json: bool) -> anyhow::Result<()> {
        let value = serde_json::to_value(self)?;
        if json {
            println!("{value}");
            return Ok(());
        }
        for (name, figure) in value.as_object().into_iter().flatten().filter(|(_, figure)| !figure.is_array()) {
            match figure.as_f64().filter(|figure| figure.fract() != 0.0) {
                Some(number) => println!("{name:>24}  {number:.3}"),
                None => println!("{name:>24}  {}", figure.as_str().map_or_else(|| figure.to_string(), str::to_owned)),
            }
        }
        Ok(())
    }
}
