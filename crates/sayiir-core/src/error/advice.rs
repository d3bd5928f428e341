//! What an error of a task says about another attempt.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::BoxError;

/// An error of a task that is not worth retrying, whatever the task's retry policy says.
///
/// ```
/// use sayiir_core::error::{BoxError, DoNotRetry};
/// fn charge(card: &str) -> Result<(), BoxError> {
///     if card.is_empty() {
///         return Err(DoNotRetry::new("no card on file").into());
///     }
///     Ok(())
/// }
/// assert!(charge("").is_err());
/// ```
#[derive(Debug)]
pub struct DoNotRetry(Told);

impl DoNotRetry {
    /// Marks `error` as not worth retrying.
    pub fn new(error: impl Into<BoxError>) -> Self {
        Self(Told { retry: Retry::Never, error: error.into() })
    }

    /// The error itself.
    pub fn into_inner(self) -> BoxError {
        self.0.error
    }
}

impl fmt::Display for DoNotRetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for DoNotRetry {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// An error of a task that is to be retried after this long, instead of the policy's next delay.
/// It counts as an attempt.
///
/// ```
/// use std::time::Duration;
/// use sayiir_core::error::{BoxError, RetryAfter};
///
/// fn answer(status: u16) -> Result<(), BoxError> {
///     if status == 429 { Err(RetryAfter::new(Duration::from_secs(60), "too many requests").into()) } else { Ok(()) }
/// }
/// assert!(answer(429).is_err());
/// ```
#[derive(Debug)]
pub struct RetryAfter(Told);

impl RetryAfter {
    /// Asks for the next attempt `delay` from now.
    pub fn new(delay: Duration, error: impl Into<BoxError>) -> Self {
        Self(Told { retry: Retry::After(delay), error: error.into() })
    }

    /// How long to wait.
    pub const fn delay(&self) -> Duration {
        match self.0.retry {
            Retry::After(delay) => delay,
            Retry::ByPolicy | Retry::Never => Duration::ZERO,
        }
    }
}

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for RetryAfter {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

/// The advice with the error that it is about, which is its source. It stands in the chain behind what a program wraps, for a wrapper that
/// passes for what is inside of it (`#[error(transparent)]`, `anyhow::Error`) hides that error from the chain, but not its source.
#[derive(Debug)]
struct Told {
    retry: Retry,
    error: BoxError,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for Told {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.error)
    }
}

/// What an error of a task says about another attempt.
///
/// ```
/// use std::time::Duration;
/// use sayiir_core::error::{Retry, RetryAfter};
///
/// let busy = RetryAfter::new(Duration::from_secs(60), "the bank is busy");
/// assert_eq!(Retry::of(&busy), Retry::After(Duration::from_secs(60)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The task's retry policy decides.
    ByPolicy,
    /// Never: it would fail the same way.
    Never,
    /// Within what the policy allows, this long from now.
    After(Duration),
}

impl Retry {
    /// What an error says: the first [`DoNotRetry`] or [`RetryAfter`] among it and its causes, from the outside in.
    ///
    /// ```
    /// use sayiir_core::error::{DoNotRetry, Retry};
    ///
    /// assert_eq!(Retry::of(&DoNotRetry::new("no card on file")), Retry::Never);
    /// assert_eq!(Retry::of(&std::fmt::Error), Retry::ByPolicy);
    /// ```
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(told) = error.downcast_ref::<Told>() {
                return told.retry;
            }
            cause = error.source();
        }
        Self::ByPolicy
    }
}

/// An error type of your own that says whether another attempt makes sense.
///
/// `#[task]` and the inline steps of `workflow!` ask it where it is *the* error of their result. Where `?` makes another error of it (a
/// [`BoxError`], an `anyhow::Error`, a wrapper of your own), hand it through [`advised`] first: what that says is found however it is
/// wrapped afterwards.
///
/// ```
/// use std::time::Duration;
/// use sayiir_core::error::{BoxError, DoNotRetry, Retry, TaskError, advised};
///
/// #[derive(Debug)]
/// enum PayError {
///     CardRefused,
///     Busy,
/// }
///
/// impl std::fmt::Display for PayError {
///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
///         write!(f, "{self:?}")
///     }
/// }
///
/// impl std::error::Error for PayError {}
///
/// impl TaskError for PayError {
///     fn retry(&self) -> Retry {
///         match self {
///             PayError::CardRefused => Retry::Never,
///             PayError::Busy => Retry::After(Duration::from_secs(60)),
///         }
///     }
/// }
///
/// let error: BoxError = advised(PayError::CardRefused);
/// assert!(error.is::<DoNotRetry>());
/// // The error itself is among the causes.
/// let causes = std::iter::successors(std::error::Error::source(&*error), |&error| error.source());
/// assert!(causes.into_iter().any(|cause| cause.is::<PayError>()));
/// ```
pub trait TaskError: Error {
    /// What it says about another attempt.
    fn retry(&self) -> Retry;
}

/// The error with what it says about another attempt, as drivers understand it.
///
/// ```
/// use sayiir_core::error::{BoxError, Retry, TaskError, advised};
///
/// #[derive(Debug)]
/// struct Refused;
///
/// impl std::fmt::Display for Refused {
///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
///         f.write_str("the card was refused")
///     }
/// }
///
/// impl std::error::Error for Refused {}
///
/// impl TaskError for Refused {
///     fn retry(&self) -> Retry {
///         Retry::Never
///     }
/// }
///
/// fn charge() -> Result<u32, Refused> {
///     Err(Refused)
/// }
///
/// // Here the error becomes a `BoxError`, which cannot ask it any more.
/// fn task() -> Result<u32, BoxError> {
///     Ok(charge().map_err(advised)?)
/// }
/// assert_eq!(Retry::of(&*task().unwrap_err()), Retry::Never);
/// ```
pub fn advised<E: TaskError + Send + Sync + 'static>(error: E) -> BoxError {
    match error.retry() {
        Retry::ByPolicy => error.into(),
        Retry::Never => DoNotRetry::new(error).into(),
        Retry::After(delay) => RetryAfter::new(delay, error).into(),
    }
}
