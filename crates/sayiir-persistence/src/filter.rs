//! Which instances a list shows, and in which order.

use std::sync::Arc;
use std::time::Duration;

use sayiir_core::attribute::{AttributeValue, SearchAttributes};
use sayiir_core::branch::RunNumber;
use sayiir_core::time::Timestamp;
use sayiir_core::workflow::WorkflowStatus;

use crate::store::RunState;

/// Which instances to list: those that all parts of the filter admit.
///
/// ```
/// use sayiir_persistence::{AttributeFilter, InstanceFilter, ListOrder, RunState};
///
/// // The 50 orders of one customer that failed last.
/// let failed = InstanceFilter {
///     workflow: Some("order".into()),
///     states: vec![RunState::Failed],
///     attributes: vec![AttributeFilter::is("customer", "acme")],
///     order: ListOrder::NewestFirst { before: None },
///     limit: Some(50),
///     ..Default::default()
/// };
/// assert_eq!(failed.error_contains, None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstanceFilter {
    /// Only of workflows with this name.
    pub workflow: Option<String>,
    /// Only in one of these states; empty means all.
    pub states: Vec<RunState>,
    /// Of the running ones, only with one of these statuses; empty means all. Others are not touched by it.
    pub running: Vec<RunningStatus>,
    /// Only with these search attributes.
    pub attributes: Vec<AttributeFilter>,
    /// Only failed ones whose error has this text in it, letter by letter.
    pub error_contains: Option<String>,
    /// Only whose present run started so long ago.
    pub created: AgeRange,
    /// Only whose status changed so long ago (see [`InstanceSummary::updated_at`](crate::InstanceSummary::updated_at)).
    pub updated: AgeRange,
    /// Only ids after this one (for the next page, where the order is by id).
    pub after: Option<Arc<str>>,
    /// In which order, and for the order by run, where the page begins.
    pub order: ListOrder,
    /// At most so many; `None` means 1,000.
    pub limit: Option<usize>,
}

/// A status of a running instance: which of them it has, its branches say ([`status_of`](crate::status_of)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunningStatus {
    /// `InProgress`: a branch is at work, or could be.
    InProgress,
    /// `Waiting`: a branch waits for a time, and none is in progress.
    Waiting,
    /// `AwaitingSignal`: a branch awaits an event, and none is in progress or waits for a time.
    AwaitingSignal,
}

impl RunningStatus {
    /// The one that this status is; `None` if it is not a running instance's.
    pub const fn of(status: &WorkflowStatus) -> Option<Self> {
        match status {
            WorkflowStatus::InProgress => Some(Self::InProgress),
            WorkflowStatus::Waiting { .. } => Some(Self::Waiting),
            WorkflowStatus::AwaitingSignal { .. } => Some(Self::AwaitingSignal),
            WorkflowStatus::Completed | WorkflowStatus::Failed(_) | WorkflowStatus::Cancelled { .. } | WorkflowStatus::Paused { .. } => {
                None
            }
        }
    }
}

/// In which order instances are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ListOrder {
    /// By id. The next page is behind [`InstanceFilter::after`].
    #[default]
    ById,
    /// By run number, falling: the run that was started last comes first. (An id that events came for before its first run
    /// may stand where the first of them came.)
    NewestFirst {
        /// Only runs before this one (for the next page: the last one's of this).
        before: Option<RunNumber>,
    },
}

/// How long ago something happened, by the store's clock. Both bounds belong to the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AgeRange {
    /// At least so long ago.
    pub at_least: Option<Duration>,
    /// At most so long ago.
    pub at_most: Option<Duration>,
}

impl AgeRange {
    /// Whether `at` is in the range, at `now`.
    pub fn admits(&self, at: Timestamp, now: Timestamp) -> bool {
        let Self { at_least, at_most } = *self;
        at_least.is_none_or(|age| at + age <= now) && at_most.is_none_or(|age| at + age >= now)
    }
}

/// What a search attribute must be.
///
/// ```
/// use sayiir_persistence::AttributeFilter;
/// use sayiir_core::attribute::SearchAttributes;
///
/// let attributes = SearchAttributes::from([("euros".into(), 120.into())]);
/// assert!(AttributeFilter::at_least("euros", 100).admits(&attributes));
/// assert!(!AttributeFilter::is("euros", "120").admits(&attributes), "a text is no integer");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeFilter {
    /// Its name. An instance without the attribute is not listed.
    pub name: Arc<str>,
    /// What is required of its value; a value of another type never meets it.
    pub test: AttributeTest,
}

/// What is required of an attribute's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeTest {
    /// It is this.
    Is(AttributeValue),
    /// It is this or more. Of integers and times.
    AtLeast(AttributeValue),
    /// It is this or less. Of integers and times.
    AtMost(AttributeValue),
}

impl AttributeFilter {
    /// The attribute has this value.
    pub fn is(name: impl Into<Arc<str>>, value: impl Into<AttributeValue>) -> Self {
        Self { name: name.into(), test: AttributeTest::Is(value.into()) }
    }

    /// The attribute, an integer or time, is this or more.
    pub fn at_least(name: impl Into<Arc<str>>, value: impl Into<AttributeValue>) -> Self {
        Self { name: name.into(), test: AttributeTest::AtLeast(value.into()) }
    }

    /// The attribute, an integer or time, is this or less.
    pub fn at_most(name: impl Into<Arc<str>>, value: impl Into<AttributeValue>) -> Self {
        Self { name: name.into(), test: AttributeTest::AtMost(value.into()) }
    }

    /// Whether an instance with these attributes is listed.
    pub fn admits(&self, attributes: &SearchAttributes) -> bool {
        let Self { name, test } = self;
        let Some(found) = attributes.get(name) else { return false };
        let numbers = |bound: &AttributeValue| {
            let same_type = found.type_number() == bound.type_number();
            found.as_number().zip(bound.as_number()).filter(|_| same_type)
        };
        match test {
            AttributeTest::Is(value) => found == value,
            AttributeTest::AtLeast(bound) => numbers(bound).is_some_and(|(found, bound)| found >= bound),
            AttributeTest::AtMost(bound) => numbers(bound).is_some_and(|(found, bound)| found <= bound),
        }
    }
}
