//! A question to one server, and which messages answer it.

use hickory_proto::ProtoError;
use hickory_proto::op::{Message, MessageType, OpCode, Query as Section};
use hickory_proto::rr::{Name, RecordType};

/// The length of a message's header.
const HEADER: usize = 12;

/// What is asked for: addresses of one family.
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
    /// The question with this id, for a server that asks others itself. It says nothing of EDNS, so answers by UDP have 512 bytes.
    pub(super) fn new(question: &Question, id: u16) -> Result<Self, ProtoError> {
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Section::query(question.name.clone(), question.kind));
        Ok(Self { message: message.to_vec()? })
    }

    /// Whether the message is an answer to this: its id, and the one question that it repeats, are the same.
    ///
    /// Whoever did not see the question has to guess the id, and the port that it came from; what does not fit is not looked at
    /// any further.
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

/// Whether an answer, as [`Query::is_answered_by`] says, is only the beginning of one.
pub(super) fn is_truncated(message: &[u8]) -> bool {
    message.get(2).is_some_and(|flags| flags & 0b10 != 0)
}
