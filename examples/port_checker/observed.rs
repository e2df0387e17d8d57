//! What a program has shown in one step.

use std::collections::BTreeMap;
use std::fmt;

use super::bytes::shown;

/// How a connection ended, seen from the checker.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum End {
    /// The program's stream ended gracefully (FIN; with TLS, close_notify).
    Stream,
    Reset,
    /// The connection could not be made.
    Refused,
    /// TLS ended otherwise: by an alert, most often because it refused our certificate, or without close_notify.
    Tls(String),
}

/// What was heard on one connection: not how the bytes were cut.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Heard {
    pub bytes: Vec<u8>,
    /// If it ended in this step. What comes behind the end of the stream, as a reset of a socket that nobody has any more, counts
    /// no more.
    pub end: Option<End>,
}

/// What was heard on all connections, and of the program.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Seen {
    /// Those on which nothing was heard are left out.
    pub connections: BTreeMap<String, Heard>,
    /// How many connections the program has made that no step has accepted.
    pub waiting: usize,
    /// How the program ended, if it did in this step.
    pub program: Option<String>,
}

impl Seen {
    /// Whether both are the same. After concurrent actions what a connection heard of several others has no order: then its
    /// lines are compared and not their order.
    pub fn is_like(&self, other: &Self, concurrent: bool) -> bool {
        if !concurrent {
            return self == other;
        }
        let names = |seen: &Self| seen.connections.keys().cloned().collect::<Vec<_>>();
        (self.waiting, &self.program, names(self)) == (other.waiting, &other.program, names(other))
            && self
                .connections
                .values()
                .zip(other.connections.values())
                .all(|(one, other)| one.end == other.end && sorted_lines(&one.bytes) == sorted_lines(&other.bytes))
    }

    /// The connections, in order, with what was heard; and the program.
    pub fn lines(&self) -> Vec<(String, String)> {
        let mut lines: Vec<_> = self.connections.iter().map(|(name, heard)| (name.clone(), heard.to_string())).collect();
        if self.waiting > 0 {
            lines.push((String::new(), format!("connections that no step has accepted: {}", self.waiting)));
        }
        lines.extend(self.program.iter().map(|end| (String::new(), format!("the program {end}"))));
        lines
    }
}

fn sorted_lines(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    lines.sort_unstable();
    lines
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stream => "end of stream",
            Self::Reset => "reset",
            Self::Refused => "refused",
            Self::Tls(how) => how,
        })
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = (!self.bytes.is_empty()).then(|| shown(&self.bytes));
        let end = self.end.as_ref().map(End::to_string);
        f.write_str(&bytes.into_iter().chain(end).collect::<Vec<_>>().join(", "))
    }
}
