//! Why a text is not a valid endpoint.

use std::error::Error;
use std::fmt;

/// A text is not a valid endpoint: what is wrong, where, and what to write instead.
#[derive(Clone, Eq, PartialEq)]
pub struct EndpointError {
    text: String,
    position: usize,
    problem: EndpointProblem,
    remedy: String,
}

/// What is wrong with a part of an endpoint's text.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum EndpointProblem {
    /// A required part is missing.
    Missing {
        /// Its name.
        part: String,
    },
    /// The endpoint has no such part.
    Superfluous {
        /// The name before the `=`, or the part itself if there is no `=`.
        part: String,
    },
    /// A part is given twice.
    Twice {
        /// Its name.
        part: String,
    },
    /// The text ends with a backslash, which quotes nothing.
    Unfinished,
    /// There is no endpoint of this type, or not for this side.
    UnknownType {
        /// The text in place of a type.
        name: String,
    },
    /// A part has an invalid value.
    Value {
        /// Its name.
        part: String,
        /// Its value.
        value: String,
    },
}

impl EndpointError {
    /// Describes what is wrong with `text` in the part that begins at byte `position`, and the remedy.
    #[must_use]
    pub fn new(text: &str, position: usize, problem: EndpointProblem, remedy: impl Into<String>) -> Self {
        Self { text: text.to_owned(), position, problem, remedy: remedy.into() }
    }

    /// The same error for a longer `text` that quotes this one; `position` maps a byte offset to one in the longer text.
    #[must_use]
    pub fn within(self, text: &str, position: impl FnOnce(usize) -> usize) -> Self {
        Self { text: text.to_owned(), position: position(self.position), ..self }
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the part begins, in bytes; if a part is missing at the end, the length of the text.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    /// What is wrong.
    #[must_use]
    pub const fn problem(&self) -> &EndpointProblem {
        &self.problem
    }

    /// What to write instead.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an endpoint: at byte {}, {}: {}", self.text, self.position, self.problem, self.remedy)
    }
}

impl fmt::Display for EndpointProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { part } => write!(f, "the {part} is missing"),
            Self::Superfluous { part } => write!(f, "{part:?} is not a part of it"),
            Self::Twice { part } => write!(f, "the {part} is given twice"),
            Self::Unfinished => f.write_str("a backslash escapes nothing"),
            Self::UnknownType { name } => write!(f, "there is no type {name:?}"),
            Self::Value { part, value } => write!(f, "the {part} cannot be {value:?}"),
        }
    }
}

torsade_reactor::debug_as_display!(EndpointError);

impl Error for EndpointError {}
