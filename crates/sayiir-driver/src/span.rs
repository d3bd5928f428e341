//! The spans under which an instance is driven and its tasks run. They are entered whenever the future in them is polled, so
//! that what a task logs carries them. Without a subscriber they cost next to nothing.

use sayiir_core::branch::BranchView;
use sayiir_core::plan::Plan;
use sayiir_engine::RunTask;
use tracing::Span;
use tracing::field::Empty;

/// A branch of an instance, for as long as a worker drives it.
pub(crate) fn of_instance(plan: &Plan, branch: &BranchView, worker_id: &str) -> Span {
    tracing::info_span!(
        "instance",
        instance_id = &*branch.instance_id,
        workflow = &**plan.name(),
        run = branch.run.0,
        branch = branch.branch.as_str(),
        worker_id,
    )
}

/// One attempt at a task. `error` is recorded if it fails.
pub(crate) fn of_task(plan: &Plan, run: &RunTask) -> Span {
    let task = plan.task_at(run.node).map_or("", |task| &task.task);
    tracing::info_span!("task", node = &*run.path, task, task_id = task, attempt = run.attempt, error = Empty)
}
