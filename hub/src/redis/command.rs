//! Commands, and who gets their answers.

use std::rc::Rc;

use redis_protocol::redis_keyslot;
use torsade_reactor::{Deferred, DeferredPermit};

use crate::error::EngineError;
use crate::topic::Topic;

use super::reply::Reply;

/// An answer, or why there is none.
pub(super) type Answered = Result<Reply, EngineError>;

/// Who gets an answer.
pub(super) enum Answer {
    /// Nobody; an error is logged.
    Ignored,
    /// Nobody: a live message on this topic, which may be lost if the connection ends before the answer.
    Published(Topic),
    /// This function, called from the loop.
    Call(Box<dyn FnOnce(Answered)>),
}

impl Answer {
    pub(super) fn call(call: impl FnOnce(Answered) + 'static) -> Self {
        Self::Call(Box::new(call))
    }

    /// An answer that fires a Deferred. The Deferred never fails, so it may be dropped.
    pub(super) fn deferred() -> (Self, Deferred<Answered>) {
        let (deferred, firer) = Deferred::new();
        (Self::call(move |result| firer.callback(result)), deferred)
    }

    pub(super) fn give(self, result: Answered) {
        if let Self::Call(call) = self {
            call(result);
        }
    }
}

/// A command that waits for its answer.
pub(super) struct Pending {
    /// The channel, if a push that names it answers the command.
    pub(super) confirmed_for: Option<Rc<[u8]>>,
    pub(super) answer: Answer,
    /// What is needed to send the command to another node of a cluster.
    pub(super) again: Option<Again>,
    /// Held until the answer comes, to limit how many long answers are under way.
    pub(super) permit: Option<DeferredPermit>,
}

/// A command in a form that can be sent again.
pub(super) struct Again {
    pub(super) slot: u16,
    pub(super) bytes: Rc<[u8]>,
    pub(super) redirects: u8,
}

impl Again {
    /// A command with its first key.
    pub(super) fn new(key: &[u8], parts: &[&[u8]]) -> Self {
        let mut bytes = Vec::new();
        encode(&mut bytes, parts);
        Self { slot: redis_keyslot(key), bytes: bytes.into(), redirects: 0 }
    }
}

impl Pending {
    pub(super) const fn new(answer: Answer) -> Self {
        Self { confirmed_for: None, answer, again: None, permit: None }
    }

    /// The slot, in a cluster.
    pub(super) fn slot(&self) -> Option<u16> {
        self.again.as_ref().map(|again| again.slot)
    }
}

/// Appends a command to `bytes`.
pub(super) fn encode(bytes: &mut Vec<u8>, parts: &[&[u8]]) {
    header(bytes, b'*', parts.len());
    for part in parts {
        header(bytes, b'$', part.len());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
}

/// Appends a command without its last part, which has to follow with a line end.
pub(super) fn encode_all_but_last(bytes: &mut Vec<u8>, parts: &[&[u8]], last: usize) {
    header(bytes, b'*', parts.len() + 1);
    for part in parts {
        header(bytes, b'$', part.len());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
    header(bytes, b'$', last);
}

fn header(bytes: &mut Vec<u8>, kind: u8, number: usize) {
    let mut digits = [0; 20];
    let (mut at, mut rest) = (digits.len(), number);
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    bytes.push(kind);
    bytes.extend_from_slice(&digits[at..]);
    bytes.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_array_of_strings() {
        let mut bytes = Vec::new();
        encode(&mut bytes, &[b"PUBLISH", b"room", b"hello, all"]);
        assert_eq!(bytes, b"*3\r\n$7\r\nPUBLISH\r\n$4\r\nroom\r\n$10\r\nhello, all\r\n");
        let mut split = Vec::new();
        encode_all_but_last(&mut split, &[b"PUBLISH", b"room"], 10);
        split.extend_from_slice(b"hello, all\r\n");
        assert_eq!(split, bytes);
    }
}
