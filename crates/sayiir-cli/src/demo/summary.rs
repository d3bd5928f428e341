//! The last word of the demo: how many, how fast, and the report; as text or as one JSON object.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::audit::Audit;
use super::report::Report;

/// What `sayiir demo` found at the end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// Instances of the input's lines and copies.
    pub(crate) instances: u64,
    /// Those that completed.
    pub(crate) completed: u64,
    /// Those that ended in another way.
    pub(crate) failed: u64,
    /// Task and join results in the journal; a route's key is the result of its key task.
    pub(crate) steps: u64,
    /// Times that a task really ran.
    pub(crate) executed: u64,
    /// Results that were stored, yet their task ran again later.
    pub(crate) repeated_steps: u64,
    /// How long this process worked, from its first look at the store until the last instance had ended.
    pub(crate) seconds: f64,
    /// Steps that this process stored, by the second.
    pub(crate) steps_per_second: f64,
    /// Lines of the input that hold no webhook, by number.
    pub(crate) skipped_lines: Vec<u32>,
    /// What the stored results come to.
    pub(crate) report: Report,
}

/// What this process did itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Steps it stored.
    pub(crate) steps: u64,
    /// How long it took.
    pub(crate) time: Duration,
}

impl Summary {
    /// Puts the parts together.
    pub(crate) fn new(completed: u64, failed: u64, audit: &Audit, effort: Effort, skipped_lines: Vec<u32>, report: Report) -> Self {
        let Effort { steps, time } = effort;
        Self {
            instances: completed + failed,
            completed,
            failed,
            steps: audit.steps,
            executed: audit.executed,
            repeated_steps: audit.repeated.len() as u64,
            seconds: rounded(time.as_secs_f64(), 1000.0),
            steps_per_second: rounded(rate(steps, time), 10.0),
            skipped_lines,
            report,
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a count of steps is far below 2^52")]
fn rate(steps: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { steps as f64 / time.as_secs_f64() }
}

fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instances, completed, failed, steps, executed, repeated_steps, seconds, steps_per_second, skipped_lines, report } = self;
        writeln!(f, "{report}")?;
        writeln!(f)?;
        writeln!(f, "{completed} of {instances} instances completed, {failed} failed")?;
        if !skipped_lines.is_empty() {
            writeln!(f, "{} lines of the input were skipped", skipped_lines.len())?;
        }
        writeln!(f, "{steps} steps stored, tasks ran {executed} times, {repeated_steps} stored steps were repeated")?;
        write!(f, "this process: {seconds:.2} s, {steps_per_second:.0} steps/s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        let audit = Audit { steps: 10, executed: 12, repeated: vec!["webhook-1-1 parse".into()], unseen: 0 };
        let effort = Effort { steps: 9, time: Duration::from_micros(1_500_400) };
        Summary::new(3, 1, &audit, effort, vec![4, 8], Report::default())
    }

    #[test]
    fn the_json_object_has_the_documented_fields() {
        let json = serde_json::to_value(summary()).unwrap();
        let report = json["report"].clone();
        assert_eq!(
            json,
            serde_json::json!({
                "instances": 4, "completed": 3, "failed": 1, "steps": 10, "executed": 12, "repeated_steps": 1,
                "seconds": 1.5, "steps_per_second": 6.0, "skipped_lines": [4, 8], "report": report
            })
        );
    }

    #[test]
    fn the_text_says_the_same() {
        let text = summary().to_string();
        for part in
            ["3 of 4 instances completed, 1 failed", "2 lines", "10 steps stored, tasks ran 12 times, 1 stored", "1.50 s, 6 steps/s"]
        {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
    }
}
