//! The one place where subscribers, queues and the engine meet.

use std::rc::Rc;

use crate::engine::InterestId;
use crate::error::EngineError;
use crate::message::{Gap, Message, MessageId};

/// What a hub is: see [`Hub`](crate::Hub).
pub(crate) struct Core {}

impl Core {
    pub(crate) fn connected(self: &Rc<Self>) {}
    pub(crate) fn disconnected(self: &Rc<Self>, _error: EngineError, _unconfirmed: u64) {}
    pub(crate) fn subscribed(self: &Rc<Self>, _id: InterestId, _position: Option<MessageId>) {}
    pub(crate) fn refused(self: &Rc<Self>, _id: InterestId, _why: &str) {}
    pub(crate) fn message(self: &Rc<Self>, _id: InterestId, _message: &Message) {}
    pub(crate) fn missed(self: &Rc<Self>, _id: InterestId, _gap: &Gap) {}
    pub(crate) fn writable(self: &Rc<Self>) {}
}
