//! What a protocol did in a replay, and how two replays differ.

use std::error::Error;
use std::fmt;

use torsade_protocols::Reason;

/// What a protocol did in one replay.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The bytes that it sent.
    pub sent: Vec<u8>,
    /// What it [noted](super::Notes::note).
    pub notes: Vec<String>,
    /// Why the connection ended; `None` if it had not ended two minutes after the end of the peer's stream.
    pub reason: Option<Reason>,
    /// How many callbacks came.
    pub(super) callbacks: usize,
    /// It switched compression on by itself.
    pub(super) compressed_itself: bool,
    /// It switched TLS on by itself.
    pub(super) tls_itself: bool,
}

impl Outcome {
    /// Whether another replay did the same. What an abort drops is not compared: it depends on what is still unsent.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        let aborted = matches!((&self.reason, &other.reason), (Some(Reason::ConnectionAborted), Some(Reason::ConnectionAborted)));
        let sent =
            self.sent == other.sent || aborted && (self.sent.starts_with(&other.sent) || other.sent.starts_with(&self.sent));
        sent && self.notes == other.notes && self.end() == other.end()
    }

    fn end(&self) -> String {
        match &self.reason {
            None => "the connection did not end after the end of its peer's stream".to_owned(),
            // Offsets in the compressed stream are not the protocol's doing.
            Some(Reason::Decompress(error)) => format!("the connection ended: {}", error.kind),
            Some(reason) => format!("the connection ended: {reason}"),
        }
    }

    /// Everything that it did, to be compared one by one.
    fn facts(&self) -> Vec<String> {
        let mut facts: Vec<String> = self.notes.iter().map(|note| format!("noted {note:?}")).collect();
        let lines = self.sent.split_inclusive(|byte| *byte == b'\n');
        facts.extend(lines.map(|line| format!("sent  \"{}\"", line.escape_ascii())));
        facts.push(self.end());
        facts
    }
}

/// A protocol behaved differently when its input arrived in another way.
///
/// The text says how the input arrived, and what the protocol first did differently.
#[derive(Clone)]
pub struct Difference(Box<Compared>);

#[derive(Clone, Debug)]
struct Compared {
    one: String,
    other: String,
    expected: Outcome,
    found: Outcome,
}

impl Difference {
    pub(super) fn new(one: String, other: String, expected: Outcome, found: Outcome) -> Self {
        Self(Box::new(Compared { one, other, expected, found }))
    }

    /// What the protocol did in the simpler replay.
    #[must_use]
    pub fn expected(&self) -> &Outcome {
        &self.0.expected
    }

    /// What the protocol did in the other replay.
    #[must_use]
    pub fn found(&self) -> &Outcome {
        &self.0.found
    }

    /// How the input arrived in the other replay.
    #[must_use]
    pub fn way(&self) -> &str {
        &self.0.other
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (expected, found) = (self.0.expected.facts(), self.0.found.facts());
        let same = expected.iter().zip(&found).take_while(|(one, other)| one == other).count();
        let fact = |facts: &[String]| facts.get(same).map_or("nothing more", String::as_str).to_owned();
        writeln!(f, "the protocol behaves differently depending on how its input arrives")?;
        writeln!(f, "  when its input {}:", self.0.one)?;
        writeln!(f, "    {}", fact(&expected))?;
        writeln!(f, "  but when it {}:", self.0.other)?;
        write!(f, "    {}", fact(&found))?;
        if same > 0 {
            write!(f, "\n  ({same} before that {} the same)", if same == 1 { "is" } else { "are" })?;
        }
        Ok(())
    }
}

torsade_reactor::debug_as_display!(Difference);

impl Error for Difference {}
