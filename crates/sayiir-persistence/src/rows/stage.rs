//! Whether an id has a run and how it goes, as a number and a flag.

use sayiir_core::control::SignalKind;

use crate::records::RunState;

/// Whether an instance's id has a run, and how it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Only events were sent: the id counts as unknown.
    MailOnly,
    /// It has a run.
    Run(RunState),
}

impl Stage {
    /// The stored number of a run's state; whether it is paused is a flag beside it.
    pub const fn code(state: RunState) -> u8 {
        match state {
            RunState::Running | RunState::Paused => 1,
            RunState::Completed => 2,
            RunState::Failed => 3,
            RunState::Cancelled => 4,
        }
    }

    /// What the stored number and the flag stand for; `None` for a number that this build does not know.
    ///
    /// ```
    /// use sayiir_persistence::RunState;
    /// use sayiir_persistence::rows::Stage;
    ///
    /// for state in [RunState::Running, RunState::Paused, RunState::Completed, RunState::Failed, RunState::Cancelled] {
    ///     let stored = Stage::from_code(Stage::code(state).into(), state == RunState::Paused);
    ///     assert_eq!(stored, Some(Stage::Run(state)));
    /// }
    /// assert_eq!((Stage::from_code(0, false), Stage::from_code(5, false)), (Some(Stage::MailOnly), None));
    /// ```
    pub const fn from_code(code: i64, paused: bool) -> Option<Self> {
        Some(match (code, paused) {
            (0, _) => Self::MailOnly,
            (1, false) => Self::Run(RunState::Running),
            (1, true) => Self::Run(RunState::Paused),
            (2, _) => Self::Run(RunState::Completed),
            (3, _) => Self::Run(RunState::Failed),
            (4, _) => Self::Run(RunState::Cancelled),
            (_, _) => return None,
        })
    }

    /// The state of its run, if it has one.
    pub const fn state(self) -> Option<RunState> {
        match self {
            Self::MailOnly => None,
            Self::Run(state) => Some(state),
        }
    }

    /// Whether it has a run that goes on or is paused.
    pub const fn is_live(self) -> bool {
        match self {
            Self::MailOnly => false,
            Self::Run(state) => state.is_live(),
        }
    }

    /// Whether it has a run that is paused.
    pub const fn is_paused(self) -> bool {
        matches!(self, Self::Run(RunState::Paused))
    }

    /// Of the recorded requests the one that is not applied yet: a cancel before a pause.
    pub const fn requested(self, cancel: bool, pause: bool) -> Option<SignalKind> {
        if !self.is_live() {
            None
        } else if cancel {
            Some(SignalKind::Cancel)
        } else if pause && !self.is_paused() {
            Some(SignalKind::Pause)
        } else {
            None
        }
    }
}
