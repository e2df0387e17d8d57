//! Why a simulation failed to complete.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a run ended early; the message says what was still going on.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub enum SimulationError {
    /// The condition is not met, and nothing more will ever happen.
    Idle {
        /// The current state.
        report: String,
    },
    /// A run was started inside a callback of this simulation. Callbacks should return instead.
    Nested,
    /// Turns are made without time passing: something requests a turn again and again.
    Spinning {
        /// The number of turns at the same time.
        turns: u64,
        /// The current state.
        report: String,
    },
    /// The condition was not met within the [time limit](super::Simulation::set_time_limit).
    TimeLimit {
        /// The limit.
        limit: Duration,
        /// The current state.
        report: String,
    },
    /// A turn of a reactor failed.
    Turn {
        /// The host's name.
        host: String,
        /// The error of its reactor.
        problem: String,
    },
    /// The run took more turns than the [turn limit](super::Simulation::set_turn_limit).
    TurnLimit {
        /// The number of turns.
        turns: u64,
        /// The current state.
        report: String,
    },
}

impl fmt::Display for SimulationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle { report } => write!(f, "the condition was not met and nothing more will happen {report}"),
            Self::Nested => {
                f.write_str("the simulation is already running: return from the callback instead of running it again")
            }
            Self::Spinning { turns, report } => {
                write!(f, "{turns} turns at the same instant: a callback keeps asking for another {report}")
            }
            Self::TimeLimit { limit, report } => write!(f, "the condition was not met within {limit:?} {report}"),
            Self::Turn { host, problem } => write!(f, "the reactor of {host} could not turn: {problem}"),
            Self::TurnLimit { turns, report } => write!(f, "still going on after {turns} turns {report}"),
        }
    }
}

crate::debug_as_display!(SimulationError);

impl Error for SimulationError {}
