//! How an item may move.
//!
//! [`next`] is the only rule; the store's transitions are conditional updates that each carry out one of its arrows.
//! The attempt number together with the agent that holds it is the fence: whoever reports for another pair is told
//! that it lost the item. An attempt that was leased and never acknowledged did not happen, so its number is given out
//! again.

use serde::{Deserialize, Serialize};

use crate::code::Code;

/// Where an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Waiting; `attempts` have been acknowledged so far.
    Queued {
        /// Attempts so far.
        attempts: u32,
    },
    /// Handed to an agent that has not acknowledged it yet.
    Leased {
        /// The attempt that the lease would become.
        attempt: u32,
    },
    /// Acknowledged: the agent works on it.
    Running {
        /// The current attempt.
        attempt: u32,
        /// The agent is silent; the item keeps its place until the queue's grace is over.
        unreachable: bool,
    },
    /// Ended well.
    Finished,
    /// Ended badly, with a reason.
    Failed,
    /// Ended because somebody asked for it.
    Stopped,
}

/// The word for a state, as stored and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StateName {
    /// Waiting in its queue.
    Queued,
    /// Offered to an agent.
    Leased,
    /// With an agent.
    Running,
    /// Ended well.
    Finished,
    /// Ended badly.
    Failed,
    /// Ended on request.
    Stopped,
}

impl StateName {
    /// All states in the order of an item's life.
    pub const ALL: [Self; 6] = [Self::Queued, Self::Leased, Self::Running, Self::Finished, Self::Failed, Self::Stopped];

    /// Returns the word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }

    /// Parses the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }

    /// Whether nothing can happen to the item any more.
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Stopped)
    }

    /// Returns the state's name on the wandb wire, where what follows a claim is read from the run.
    pub fn wire_name(self) -> &'static str {
        match self {
            Self::Queued => "PENDING",
            Self::Leased => "LEASED",
            Self::Running | Self::Finished | Self::Stopped => "CLAIMED",
            Self::Failed => "FAILED",
        }
    }
}

/// How an attempt, and with it an item, ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ending {
    /// The workload did its work.
    Finished,
    /// It did not.
    Failed,
    /// It was stopped on request.
    Stopped,
}

/// What happens to an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// An agent takes it from the queue.
    Claim,
    /// The lease ran out unacknowledged, or the agent handed it back.
    Return {
        /// The attempt that was leased.
        attempt: u32,
    },
    /// The agent says that it begins.
    Acknowledge {
        /// The attempt that was leased.
        attempt: u32,
    },
    /// The agent's heartbeats stopped.
    Silence,
    /// The agent's heartbeats came back.
    Heard {
        /// The attempt that the agent holds.
        attempt: u32,
    },
    /// The attempt is over and the item is tried again.
    Requeue {
        /// The attempt that is over.
        attempt: u32,
    },
    /// The attempt is over, and so is the item.
    End {
        /// The attempt that is over.
        attempt: u32,
        /// How it ended.
        ending: Ending,
    },
    /// Somebody asks to stop it before an agent has begun. (A running item is asked through its agent.)
    StopWaiting,
    /// It cannot be run by anyone and nobody holds it (its job is gone, say).
    FailWaiting,
}

/// The event does not apply in this state; carries the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an item that is {} does not take this step", .0.name().as_str())]
pub struct Refused(pub State);

impl State {
    /// Returns the word for the state.
    pub fn name(self) -> StateName {
        match self {
            Self::Queued { .. } => StateName::Queued,
            Self::Leased { .. } => StateName::Leased,
            Self::Running { .. } => StateName::Running,
            Self::Finished => StateName::Finished,
            Self::Failed => StateName::Failed,
            Self::Stopped => StateName::Stopped,
        }
    }
}

/// Returns the state that follows `state` on `event`.
pub fn next(state: State, event: Event) -> Result<State, Refused> {
    let refused = Err(Refused(state));
    let ended = |ending| match ending {
        Ending::Finished => State::Finished,
        Ending::Failed => State::Failed,
        Ending::Stopped => State::Stopped,
    };
    match (state, event) {
        (State::Queued { attempts }, Event::Claim) => Ok(State::Leased { attempt: attempts + 1 }),
        (State::Leased { attempt }, Event::Return { attempt: a }) if a == attempt => {
            Ok(State::Queued { attempts: attempt - 1 })
        }
        (State::Leased { attempt }, Event::Acknowledge { attempt: a }) if a == attempt => {
            Ok(State::Running { attempt, unreachable: false })
        }
        (State::Running { attempt, unreachable: false }, Event::Silence) => {
            Ok(State::Running { attempt, unreachable: true })
        }
        (State::Running { attempt, .. }, Event::Heard { attempt: a }) if a == attempt => {
            Ok(State::Running { attempt, unreachable: false })
        }
        (State::Running { attempt, .. }, Event::Requeue { attempt: a }) if a == attempt => {
            Ok(State::Queued { attempts: attempt })
        }
        (State::Running { attempt, .. }, Event::End { attempt: a, ending }) if a == attempt => Ok(ended(ending)),
        // A stock agent fails items that it popped and never acknowledged.
        (State::Leased { attempt }, Event::End { attempt: a, ending: Ending::Failed }) if a == attempt => {
            Ok(State::Failed)
        }
        (State::Queued { .. } | State::Leased { .. }, Event::StopWaiting) => Ok(State::Stopped),
        (State::Queued { .. }, Event::FailWaiting) => Ok(State::Failed),
        _ => refused,
    }
}

/// Why an item ended as it did, or why an attempt was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The stable word, `agent_lost` for instance.
    pub code: String,
    /// The number of the help page, `LZ0142` for instance; empty when the word has no page.
    pub help: String,
    /// What happened, to which thing.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

impl Reason {
    /// Makes a reason of a known code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code: code.word.to_owned(),
            help: code.help.to_owned(),
            message: message.into(),
            hint: (!code.hint.is_empty()).then(|| code.hint.to_owned()),
        }
    }

    /// Replaces the code's general advice by a particular one.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_event() -> impl Strategy<Value = Event> {
        let attempt = 0..4u32;
        let ending = prop_oneof![Just(Ending::Finished), Just(Ending::Failed), Just(Ending::Stopped)];
        prop_oneof![
            Just(Event::Claim),
            attempt.clone().prop_map(|attempt| Event::Return { attempt }),
            attempt.clone().prop_map(|attempt| Event::Acknowledge { attempt }),
            Just(Event::Silence),
            attempt.clone().prop_map(|attempt| Event::Heard { attempt }),
            attempt.clone().prop_map(|attempt| Event::Requeue { attempt }),
            (attempt, ending).prop_map(|(attempt, ending)| Event::End { attempt, ending }),
            Just(Event::StopWaiting),
            Just(Event::FailWaiting),
        ]
    }

    /// How many attempts have begun, and the one that is live (leased or running), if any.
    fn begun(state: State) -> (u32, Option<u32>) {
        match state {
            State::Queued { attempts } => (attempts, None),
            State::Leased { attempt } => (attempt - 1, Some(attempt)),
            State::Running { attempt, .. } => (attempt, Some(attempt)),
            State::Finished | State::Failed | State::Stopped => (u32::MAX, None),
        }
    }

    proptest! {
        #[test]
        fn an_ended_item_never_moves_and_attempts_never_go_back(events in prop::collection::vec(any_event(), 0..60)) {
            let mut state = State::Queued { attempts: 0 };
            let mut acknowledged = 0;
            let mut ended = 0;
            for event in events {
                let before = state;
                match next(state, event) {
                    Err(Refused(s)) => prop_assert_eq!(s, before),
                    Ok(after) => {
                        prop_assert!(!before.name().is_ended(), "an ended item moved on {:?}", event);
                        let (b, live_before) = begun(before);
                        let (a, live_after) = begun(after);
                        prop_assert!(a >= b, "attempts went from {} to {}", b, a);
                        if let (Some(x), Some(y)) = (live_before, live_after) {
                            prop_assert_eq!(x, y, "a live attempt was replaced by another without an end");
                        }
                        if matches!(event, Event::Acknowledge { .. }) {
                            acknowledged += 1;
                            prop_assert_eq!(after, State::Running { attempt: acknowledged, unreachable: false });
                        }
                        ended += u32::from(after.name().is_ended());
                        state = after;
                    }
                }
            }
            prop_assert!(ended <= 1);
        }

        #[test]
        fn a_stale_fence_is_refused(attempt in 1..50u32, stale in 0..50u32) {
            prop_assume!(attempt != stale);
            for state in [State::Leased { attempt }, State::Running { attempt, unreachable: false }] {
                for event in [
                    Event::Return { attempt: stale },
                    Event::Acknowledge { attempt: stale },
                    Event::Heard { attempt: stale },
                    Event::Requeue { attempt: stale },
                    Event::End { attempt: stale, ending: Ending::Finished },
                ] {
                    prop_assert_eq!(next(state, event), Err(Refused(state)));
                }
            }
        }
    }

    #[test]
    fn the_ordinary_life_of_an_item() {
        let mut s = State::Queued { attempts: 0 };
        for (event, expected) in [
            (Event::Claim, State::Leased { attempt: 1 }),
            (Event::Return { attempt: 1 }, State::Queued { attempts: 0 }),
            (Event::Claim, State::Leased { attempt: 1 }),
            (Event::Acknowledge { attempt: 1 }, State::Running { attempt: 1, unreachable: false }),
            (Event::Silence, State::Running { attempt: 1, unreachable: true }),
            (Event::Heard { attempt: 1 }, State::Running { attempt: 1, unreachable: false }),
            (Event::Requeue { attempt: 1 }, State::Queued { attempts: 1 }),
            (Event::Claim, State::Leased { attempt: 2 }),
            (Event::Acknowledge { attempt: 2 }, State::Running { attempt: 2, unreachable: false }),
            (Event::End { attempt: 2, ending: Ending::Finished }, State::Finished),
        ] {
            s = next(s, event).expect("a legal step");
            assert_eq!(s, expected);
        }
    }
}
