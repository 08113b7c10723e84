//! When a run may move.
//!
//! A run is moved by its own posts, by silence, and by people; unlike an item it may come back from every end, because a
//! client that was thought dead may speak again or resume.

use std::fmt;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Announced, not begun.
    Pending,
    /// Its client speaks.
    Running,
    /// Ended with exit code 0.
    Finished,
    /// Ended with another exit code.
    Failed,
    /// Its client fell silent.
    Crashed,
    /// Stopped on request.
    Killed,
    /// Its machine is being taken away.
    Preempting,
    /// Its machine was taken away.
    Preempted,
}

/// What happens to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The client came to begin a run that was announced.
    Begun,
    /// The client posted.
    Posted,
    /// The client posted that its machine is being taken away.
    Preempting,
    /// The client posted its end.
    Completed {
        /// Exit code of the process.
        exit_code: i64,
    },
    /// Nothing was heard for too long.
    Silent,
}

impl State {
    /// All states.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Running,
        Self::Finished,
        Self::Failed,
        Self::Crashed,
        Self::Killed,
        Self::Preempting,
        Self::Preempted,
    ];

    /// The word, the same in REST, SQL and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Crashed => "crashed",
            Self::Killed => "killed",
            Self::Preempting => "preempting",
            Self::Preempted => "preempted",
        }
    }

    /// Whether the run has ended, as far as is known.
    pub fn is_ended(self) -> bool {
        !matches!(self, Self::Pending | Self::Running | Self::Preempting)
    }

    /// Whether somebody may set the state by hand: `pending` to begin again, `failed` to give up.
    pub fn may_be_set_to(self, to: Self) -> bool {
        match to {
            Self::Pending => matches!(self, Self::Running | Self::Failed | Self::Crashed | Self::Preempted),
            Self::Failed => matches!(self, Self::Pending | Self::Running),
            _ => false,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for State {
    type Err = ();
    fn from_str(word: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|s| s.as_str() == word).ok_or(())
    }
}

/// Returns the state after `event`. `stop_requested`: somebody asked the run to stop.
#[must_use]
pub fn next(state: State, event: Event, stop_requested: bool) -> State {
    match (state, event) {
        (State::Pending, Event::Begun) => State::Running,
        (State::Preempting, Event::Posted) | (_, Event::Preempting) => State::Preempting,
        (_, Event::Posted) => State::Running,
        (_, Event::Completed { .. }) | (State::Running, Event::Silent) if stop_requested => State::Killed,
        (_, Event::Completed { exit_code: 0 }) => State::Finished,
        (State::Preempting, Event::Completed { .. } | Event::Silent) => State::Preempted,
        (_, Event::Completed { .. }) => State::Failed,
        (State::Running, Event::Silent) => State::Crashed,
        // What is not announced has begun already, and silence ends only what runs.
        (state, Event::Begun | Event::Silent) => state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_is_heard_of_again_runs_again() {
        for state in State::ALL {
            let expected = if state == State::Preempting { State::Preempting } else { State::Running };
            assert_eq!(next(state, Event::Posted, false), expected, "{state}");
        }
    }

    #[test]
    fn an_end_is_what_the_exit_code_and_the_wish_to_stop_make_it() {
        let end = |state, exit_code, stop| next(state, Event::Completed { exit_code }, stop);
        assert_eq!(end(State::Running, 0, false), State::Finished);
        assert_eq!(end(State::Running, 3, false), State::Failed);
        assert_eq!(end(State::Running, 255, true), State::Killed);
        assert_eq!(end(State::Preempting, 1, false), State::Preempted);
    }

    #[test]
    fn silence_ends_only_what_runs() {
        assert_eq!(next(State::Running, Event::Silent, false), State::Crashed);
        assert_eq!(next(State::Running, Event::Silent, true), State::Killed);
        assert_eq!(next(State::Preempting, Event::Silent, false), State::Preempted);
        for state in [State::Pending, State::Finished, State::Failed, State::Killed, State::Crashed, State::Preempted] {
            assert_eq!(next(state, Event::Silent, false), state);
        }
    }

    #[test]
    fn words_are_read_back() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }
}
