//! The bugs, by topic.

macro_rules! bugs {
    ($($bug:ident,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Bug { $($bug,)* }

        pub(crate) const BUGS: &[Bug] = &[$(Bug::$bug,)*];
    };
}

bugs! {
    // Commits.
    NoMailGuard, AnyRevision, AnyRun, AnyLease, EventUnguarded, EventUsedFirst, NoIdempotence, IdempotenceForAll, LeaseLostAsMoved,
    EndedAsLeaseLost, ReplacedAsEnded, MovedAsLeaseLost, BatchOneByOne, BatchReversed, ParentForgotten, PlacementForgotten, NothingKept,
    AllKept, ChildrenReversed, OneChildLost, HeldIgnored, WakesAtOnce, DueForgotten, RowForgotten, ErrorForgotten, WrappedForgotten,
    // Claims and leases.
    ClaimKeepsRevision, LimitIgnored, TagsIgnored, PrioritiesIgnored, AgeingIgnored, CrashesForgotten, LeaseTooLong, InstanceScopeTooWide,
    RenewalMoves, RenewalTellsAll, RenewalForgotten, NextDueLate, NextDueEarly, LoadForAll, LoadNothing, ExpiryIgnored, SessionsForgotten,
    SessionsOfAll, LeaseUsedAgain, LeasedForgotten, LeasedUntilItLapses, LeasedOfOneRun,
    // Attempts.
    SubStepsForgotten, SubStepsOfAllNodes, SubStepsOfTheRoot, SubStepsOfOneAttempt, ProgressForgotten, ProgressUnfenced, ProgressKept,
    DocumentForgotten, TraceForgotten,
    // Events.
    SecondEventFirst, KeysOfAllInstances, KeysIgnored, DuplicatesStored, EventsForTheFinished, EventNameIgnored, EventsNotTaken,
    // Control.
    PauseTwice, PauseIgnored, UnpauseIgnored, CancelIgnored, RequestIgnored, RequestApplied, RequestKept, RequestOfOtherKind,
    AppliesUnasked, AppliesOtherKind, ReasonForgotten, UnknownFinished, RetryIgnored,
    // The lifecycle.
    NonceIgnored, PolicyFirst, TerminateIsFail, TerminateKeepsEvents, TerminateIsDelete, RootNotLeased, UseExistingForgetsOutput,
    // Queries.
    ListIgnoresAfter, ListIgnoresLimit, ListIgnoresStates, ListIgnoresRunning, ListIgnoresWorkflow, ListReversed, JournalReversed, JournalUnlimited,
    JournalSkips, ValuesReversed, OutputsReversed, DeleteAlwaysTrue, DeleteIgnored, InputForgotten, ImportUnfenced,
    ImportUndoesForks, ImportIgnoresLeases,
    // Search attributes.
    AttributesForgotten, AttributesOfTasksForgotten, AttributesUnfenced, AttributesOneByOne, AttributesKept, ListIgnoresAttributes,
    ListSeesOneAttribute, ListIgnoresAges, ListIgnoresErrors, ListIgnoresOrder, ListIgnoresBefore,
    // Operations.
    RetryKeepsRequests, PurgeIgnored, PurgeIgnoresAge, PurgeIgnoresLimit, PurgeIgnoresWorkflow, PurgesThePaused, PurgesMail, UnclaimedKept,
    RewindIgnoresNonce, RewindIgnoresRun, RewindKeepsLess, RewindIsStart, RewindUsesEvents, RewindForgetsPlacement, RewindForgetsWhy,
    RewindStaysPaused, TimelineTellsValues, StatsForgetWaiting, StatsForgetStates, HealthForgetsLapsed,
    HealthForgetsLanes, SessionsKept,
    // The rest.
    Silent, LimitsTooSmall,
}
