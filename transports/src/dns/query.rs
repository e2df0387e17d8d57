//! A question to one server, and which messages answer it.

use hickory_proto::ProtoError;
use hickory_proto::op::{Message, MessageType, OpCode, Query as Section};
use hickory_proto::rr::{Name, RecordType};

/// The length of a message's header.
const HEADER: usize = 12;

/// A question for the addresses of one family.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Question {
    pub(super) name: Name,
    pub(super) kind: RecordType,
}

/// A question as it is sent to one server, with an id of its own.
pub(super) struct Query {
    pub(super) message: Vec<u8>,
}

impl Query {
    /// Encodes the question with this id, for a recursive server. Without EDNS, answers by UDP have at most 512 bytes.
    pub(super) fn new(question: &Question, id: u16) -> Result<Self, ProtoError> {
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Section::query(question.name.clone(), question.kind));
        Ok(Self { message: message.to_vec()? })
    }

    /// Whether the message answers this query: its id and its only question are the same.
    ///
    /// An attacker who did not see the query has to guess its id and source port. A message that does not match is not parsed.
    pub(super) fn is_answered_by(&self, message: &[u8]) -> bool {
        let (Some(asked), Some(question)) = (self.message.get(..HEADER), self.message.get(HEADER..)) else { return false };
        let (Some(header), Some(repeated)) = (message.get(..HEADER), message.get(HEADER..HEADER + question.len())) else {
            return false;
        };
        let answers_a_query = header[2] & 0b1111_1000 == 0b1000_0000;
        let one_question = header[4..6] == [0, 1];
        // A length within a name is at most 63, and no letter.
        header[..2] == asked[..2] && answers_a_query && one_question && repeated.eq_ignore_ascii_case(question)
    }
}

/// Whether a message that [answers](Query::is_answered_by) a query is truncated.
pub(super) fn is_truncated(message: &[u8]) -> bool {
    message.get(2).is_some_and(|flags| flags & 0b10 != 0)
}
