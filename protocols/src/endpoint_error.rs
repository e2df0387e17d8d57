//! Why a text is no endpoint.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;

/// A text is no endpoint: which part of it, and why.
#[derive(Clone, Eq, PartialEq)]
pub struct EndpointError {
    text: String,
    position: usize,
    problem: EndpointProblem,
}

/// What is wrong with a part of an endpoint's text.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EndpointProblem {
    /// There is no endpoint of this type, or not on this side.
    UnknownType {
        /// What stands before the first colon.
        name: String,
    },
    /// A part that it needs is not there.
    Missing {
        /// Which.
        part: &'static str,
    },
    /// There is a part that it does not have.
    Superfluous {
        /// What it is.
        part: String,
    },
    /// A part cannot be what it says.
    Value {
        /// Which.
        part: String,
        /// What it may be.
        remedy: String,
    },
}

impl EndpointError {
    /// Says what is wrong with `text`, in the part that begins at the byte `position`.
    #[must_use]
    pub fn new(text: &str, position: usize, problem: EndpointProblem) -> Self {
        Self { text: text.to_owned(), position, problem }
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the part begins, in bytes; the length of the text if a part is missing at its end.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// What is wrong.
    #[must_use]
    pub const fn problem(&self) -> &EndpointProblem {
        &self.problem
    }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no endpoint: at byte {}, ", self.text, self.position)?;
        match &self.problem {
            EndpointProblem::UnknownType { name } => write!(f, "there is no type {name:?}; write tcp:8000, for instance"),
            EndpointProblem::Missing { part } => write!(f, "the {part} is missing"),
            EndpointProblem::Superfluous { part } => write!(f, "{part:?} is not one of its parts"),
            EndpointProblem::Value { part, remedy } => write!(f, "{part} cannot be this: {remedy}"),
        }
    }
}

torsade_reactor::debug_as_display!(EndpointError);

impl Error for EndpointError {}

impl From<Infallible> for EndpointError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
