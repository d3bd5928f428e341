//! The audit: the journal (which results were stored) against the side file (which tasks really ran).

use std::collections::BTreeMap;

use super::run_log::TaskRun;

/// A result in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredStep {
    /// The instance.
    pub(crate) instance: String,
    /// The instance's run number.
    pub(crate) run: u64,
    /// The node path, with iterations.
    pub(crate) node: String,
    /// The attempt that gave the result.
    pub(crate) attempt: u32,
    /// When it was stored, in microseconds since the Unix epoch.
    pub(crate) at: i64,
}

/// What the comparison found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Audit {
    /// Results in the journal.
    pub(crate) steps: u64,
    /// Runs of tasks.
    pub(crate) executed: u64,
    /// Results that were stored and whose task ran again later.
    pub(crate) repeated: Vec<String>,
    /// Results whose task is not in the side file at all: about them it can say nothing.
    pub(crate) unseen: u64,
}

/// Compares the two.
///
/// A run repeats a stored result if it is a later attempt than the one that gave the result, or if it began after the
/// result was stored. A run that began before is no repeat, however many there are: its process died before its result was
/// stored. Both times come from the clock of the machine that holds store and side file.
pub(crate) fn audit(steps: &[StoredStep], runs: &[TaskRun]) -> Audit {
    let mut runs_of: BTreeMap<(&str, u64, &str), Vec<&TaskRun>> = BTreeMap::new();
    for run in runs {
        runs_of.entry((&run.instance, run.run, &run.node)).or_default().push(run);
    }
    let mut found = Audit { steps: steps.len() as u64, executed: runs.len() as u64, ..Audit::default() };
    for StoredStep { instance, run, node, attempt, at } in steps {
        match runs_of.get(&(instance.as_str(), *run, node.as_str())) {
            None => found.unseen += 1,
            Some(runs) if runs.iter().any(|run| run.attempt > *attempt || run.at > *at) => {
                found.repeated.push(format!("{instance} {node}"));
            }
            Some(_) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(node: &str, attempt: u32, at: i64) -> TaskRun {
        TaskRun { at, pid: 1, instance: "webhook-1-1".into(), run: 3, node: node.into(), attempt }
    }

    fn stored(node: &str, attempt: u32, at: i64) -> StoredStep {
        StoredStep { instance: "webhook-1-1".into(), run: 3, node: node.into(), attempt, at }
    }

    fn repeated(steps: &[StoredStep], runs: &[TaskRun]) -> Vec<String> {
        audit(steps, runs).repeated
    }

    #[test]
    fn a_result_whose_task_ran_before_it_was_stored_is_fine_however_often() {
        let runs = [ran("parse", 1, 10), ran("parse", 1, 20), ran("hand-over", 1, 30), ran("hand-over", 2, 40)];
        let steps = [stored("parse", 1, 25), stored("hand-over", 2, 45)];
        assert_eq!(audit(&steps, &runs), Audit { steps: 2, executed: 4, repeated: vec![], unseen: 0 });
    }

    #[test]
    fn a_run_that_begins_after_the_result_was_stored_repeats_it() {
        assert_eq!(repeated(&[stored("parse", 1, 25)], &[ran("parse", 1, 10), ran("parse", 1, 26)]), ["webhook-1-1 parse"]);
    }

    #[test]
    fn a_later_attempt_repeats_it_whatever_the_clock_says() {
        assert_eq!(repeated(&[stored("parse", 1, 25)], &[ran("parse", 1, 10), ran("parse", 2, 11)]), ["webhook-1-1 parse"]);
    }

    #[test]
    fn a_result_that_was_repeated_twice_counts_once() {
        let runs = [ran("parse", 1, 10), ran("parse", 1, 30), ran("parse", 1, 40)];
        assert_eq!(repeated(&[stored("parse", 1, 25)], &runs).len(), 1);
    }

    #[test]
    fn iterations_runs_and_instances_are_told_apart() {
        let runs = [ran("pages[0]", 1, 10), ran("pages[1]", 1, 30), TaskRun { run: 4, ..ran("pages[0]", 1, 50) }];
        assert_eq!(repeated(&[stored("pages[0]", 1, 20), stored("pages[1]", 1, 40)], &runs), Vec::<String>::new());
    }

    #[test]
    fn a_result_without_any_run_is_said_to_be_unseen() {
        assert_eq!(audit(&[stored("parse", 1, 25)], &[]).unseen, 1);
    }
}
