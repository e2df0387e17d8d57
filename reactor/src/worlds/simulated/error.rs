//! Why a simulation did not come to its end.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why a run ended before what it waited for; the message says what was still going on.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub enum SimulationError {
    /// The condition is not met, and nothing will ever happen any more.
    Idle {
        /// What there is.
        report: String,
    },
    /// A run was begun inside a callback of this simulation. Callbacks should return instead.
    Nested,
    /// Turns follow each other while the time stands still: something asks for a turn again and again.
    Spinning {
        /// How many turns there were at one moment.
        turns: u64,
        /// What there is.
        report: String,
    },
    /// The condition was not met in the [time allowed](super::Simulation::set_time_limit).
    TimeLimit {
        /// The time allowed.
        limit: Duration,
        /// What there is.
        report: String,
    },
    /// A reactor could not turn.
    Turn {
        /// The host's name.
        host: String,
        /// What its reactor said.
        problem: String,
    },
    /// The run took more than the [turns allowed](super::Simulation::set_turn_limit).
    TurnLimit {
        /// How many turns there were.
        turns: u64,
        /// What there is.
        report: String,
    },
}

impl fmt::Display for SimulationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle { report } => write!(f, "the condition is not met and nothing more will happen {report}"),
            Self::Nested => {
                f.write_str("the simulation is already running: return from the callback instead of running it again")
            }
            Self::Spinning { turns, report } => {
                write!(f, "{turns} turns at one moment: a callback asks for the next at once {report}")
            }
            Self::TimeLimit { limit, report } => write!(f, "the condition is not met within {limit:?} {report}"),
            Self::Turn { host, problem } => write!(f, "the reactor of {host} could not turn: {problem}"),
            Self::TurnLimit { turns, report } => write!(f, "still going on after {turns} turns {report}"),
        }
    }
}

crate::debug_as_display!(SimulationError);

impl Error for SimulationError {}
