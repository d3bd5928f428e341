//! What the driver counts, where the feature `metrics` is on; without it nothing is done.

#[cfg(feature = "metrics")]
mod counted {
    use metrics::{Label, SharedString, counter, gauge, histogram};
    use sayiir_core::branch::BranchView;
    use sayiir_core::journal::EntryKind;
    use sayiir_core::plan::Plan;
    use sayiir_core::transition::{Next, Transition};
    use sayiir_persistence::{CommitOutcome, Refusal};

    use sayiir_persistence::metric_names as names;

    /// Whether it is worth asking the store what is to be counted.
    pub(crate) const ARE_COUNTED: bool = true;

    /// Counts what became of a transition of `branch`.
    pub(crate) fn committed(plan: &Plan, branch: &BranchView, transition: &Transition, outcome: &CommitOutcome) {
        let at = match outcome {
            CommitOutcome::Accepted { at, readied_parent: _ } => *at,
            CommitOutcome::Refused(Refusal::LeaseLost) => return lease_lost(),
            CommitOutcome::AlreadyAccepted | CommitOutcome::Refused(Refusal::Moved | Refusal::Ended | Refusal::Replaced) => return,
        };
        let workflow = || Label::new("workflow", SharedString::from_shared(plan.name().clone()));
        if let Some(entry) = &transition.entry {
            let labels = || vec![workflow(), Label::new("node", without_iterations(&entry.node))];
            match entry.kind {
                EntryKind::TaskCompleted | EntryKind::JoinCompleted | EntryKind::RouteTaken => {
                    counter!(names::STEPS, labels()).increment(1);
                    histogram!(names::STEP_SECONDS, labels()).record(at.since(branch.now).as_secs_f64());
                }
                EntryKind::AttemptFailed => {
                    counter!(names::FAILURES, labels()).increment(1);
                    counter!(names::RETRIES, labels()).increment(1);
                }
                EntryKind::Failed => counter!(names::FAILURES, labels()).increment(1),
                EntryKind::Started
                | EntryKind::DelayStarted
                | EntryKind::DelayElapsed
                | EntryKind::SignalAwaited
                | EntryKind::EventReceived
                | EntryKind::SignalTimedOut
                | EntryKind::Forked
                | EntryKind::Cancelled
                | EntryKind::Paused
                | EntryKind::Unpaused
                | EntryKind::Imported
                | EntryKind::SubStepCompleted
                | EntryKind::Retried
                | EntryKind::Rewound => {}
            }
        }
        match &transition.next {
            Next::Finish => counter!(names::INSTANCES, vec![workflow(), Label::new("status", "completed")]).increment(1),
            Next::Fail { .. } => counter!(names::INSTANCES, vec![workflow(), Label::new("status", "failed")]).increment(1),
            Next::Run { .. } | Next::Release { .. } | Next::Await { .. } | Next::Fork { .. } | Next::EndBranch => {}
        }
    }

    /// Counts a branch that another worker took over.
    pub(crate) fn lease_lost() {
        counter!(names::LEASES_LOST).increment(1);
    }

    /// Counts a branch as driven until it is dropped.
    pub(crate) struct Driven;

    impl Driven {
        pub(crate) fn begin() -> Self {
            gauge!(names::BRANCHES_DRIVEN).increment(1.0);
            Self
        }
    }

    impl Drop for Driven {
        fn drop(&mut self) {
            gauge!(names::BRANCHES_DRIVEN).decrement(1.0);
        }
    }

    /// A node path as a label: however often a loop runs, it is one.
    fn without_iterations(path: &std::sync::Arc<str>) -> SharedString {
        if !path.contains('[') {
            return SharedString::from_shared(path.clone());
        }
        let outside = path
            .split('[')
            .enumerate()
            .map(|(number, part)| if number == 0 { part } else { part.split_once(']').map_or("", |(_, rest)| rest) });
        outside.collect::<String>().into()
    }
}

#[cfg(feature = "metrics")]
pub(crate) use counted::{ARE_COUNTED, Driven, committed, lease_lost};

#[cfg(not(feature = "metrics"))]
mod uncounted {
    use sayiir_core::branch::BranchView;
    use sayiir_core::plan::Plan;
    use sayiir_core::transition::Transition;
    use sayiir_persistence::CommitOutcome;

    pub(crate) const ARE_COUNTED: bool = false;

    pub(crate) const fn committed(_: &Plan, _: &BranchView, _: &Transition, _: &CommitOutcome) {}

    pub(crate) const fn lease_lost() {}

    pub(crate) struct Driven;

    impl Driven {
        pub(crate) const fn begin() -> Self {
            Self
        }
    }
}

#[cfg(not(feature = "metrics"))]
pub(crate) use uncounted::{ARE_COUNTED, Driven, committed, lease_lost};
