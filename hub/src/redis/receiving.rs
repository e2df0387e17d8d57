//! What comes from Redis: answers, in the order of the commands, and pushes between them.

use redis_protocol::resp3::types::RangeFrame;
use torsade_protocols::{Callback, FrameError, FrameProtocol, FrameReceiver, FrameTransport, Protocol, Reason, Transport};
use torsade_reactor::Result as ReactorResult;

use crate::error::EngineError;

use super::command::{Answer, Pending};
use super::link::Link;
use super::reply::{Reply, text};
use super::resp::{Frame, RespDecoder, RespError};

/// The protocol of a connection. It also notes that bytes came, even if they are no whole frame.
pub(super) struct Receiving {
    receiver: FrameReceiver<RespDecoder, Link>,
    link: Link,
}

impl Receiving {
    pub(super) fn new(link: &Link) -> Self {
        Self { receiver: FrameReceiver::new(RespDecoder::new(), link.clone()), link: link.clone() }
    }
}

impl Protocol for Receiving {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> ReactorResult {
        self.link.record_heard();
        self.receiver.data_received(transport, data)
    }

    fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> ReactorResult {
        callback.dispatch(&mut self.receiver, transport)
    }
}

impl FrameProtocol<RespDecoder> for Link {
    fn connection_made(&mut self, frames: &FrameTransport) -> ReactorResult {
        self.made(Transport::clone(frames));
        Ok(())
    }

    fn frame_received(&mut self, _: &FrameTransport, frame: Frame<'_>) -> ReactorResult {
        match &frame.root {
            RangeFrame::Push { data: items, .. } => self.pushed(frame.data, items)?,
            _ => self.answered(&frame)?,
        }
        Ok(())
    }

    fn frame_refused(&mut self, _: &FrameTransport, error: FrameError<RespError>) -> ReactorResult {
        Err(EngineError::Protocol(error.to_string()).into())
    }

    fn connection_lost(&mut self, _: &FrameTransport, reason: &Reason) -> ReactorResult {
        self.lost(reason);
        Ok(())
    }
}

impl Link {
    fn answered(&self, frame: &Frame<'_>) -> Result<(), EngineError> {
        let is_error = matches!(frame.root, RangeFrame::SimpleError { .. } | RangeFrame::BlobError { .. });
        let Some(pending) = self.take_pending() else {
            let said = Reply::new(frame.data, &frame.root);
            return Err(match said {
                // Such as when it has too many clients.
                Reply::Error(said) => EngineError::Refused(said),
                _ => EngineError::Protocol("an answer came that nothing was asked for".to_owned()),
            });
        };
        if pending.confirmed_for.is_some() && !is_error {
            return Err(EngineError::Protocol("an answer came where a push should have confirmed a subscription".to_owned()));
        }
        match (&pending.answer, is_error) {
            (_, true) => self.failed(pending, Reply::new(frame.data, &frame.root)),
            (Answer::Ignored | Answer::Published(_), false) => self.settle(pending, Reply::Null),
            (Answer::Call(_), false) => self.settle(pending, Reply::new(frame.data, &frame.root)),
        }
        Ok(())
    }

    /// Passes on an answer.
    fn settle(&self, pending: Pending, answer: Reply) {
        let slot = pending.slot();
        pending.answer.give(Ok(answer));
        self.record_served(slot);
    }

    /// A command for a slot was answered other than by a redirection: the slot is served.
    fn record_served(&self, slot: Option<u16>) {
        if let Some(slot) = slot
            && let Some(session) = self.owner()
        {
            session.slot_served(slot);
        }
    }

    /// The answer is an error.
    fn failed(&self, pending: Pending, said: Reply) {
        let Reply::Error(said) = said else { return };
        let slot = pending.slot();
        match (said.split(' ').next().unwrap_or_default(), slot.and_then(|_| self.owner())) {
            ("MOVED" | "ASK", Some(session)) => return session.redirected(self, &said, pending),
            ("CLUSTERDOWN" | "TRYAGAIN", Some(session)) => return session.slot_is_down(self, pending),
            // It is not what it was, or not ready yet; another host may be.
            ("LOADING" | "READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "BUSY", _) => {
                self.take_back(pending);
                return self.lose(EngineError::Lost(said));
            }
            _ => {}
        }
        match pending.answer {
            Answer::Ignored => log::debug!("Redis at {} says: {said}", self.host()),
            Answer::Published(topic) => {
                if let Some(session) = self.owner() {
                    session.upstream.publication_refused(topic.as_str(), &said);
                }
            }
            answer => answer.give(Err(refusal(said))),
        }
        self.record_served(slot);
    }

    fn pushed(&self, data: &[u8], items: &[RangeFrame]) -> Result<(), EngineError> {
        let malformed = || EngineError::Protocol("a push is not of the form that its name has".to_owned());
        let part = |at: usize| items.get(at).and_then(|item| text(data, item)).ok_or_else(malformed);
        let (kind, session) = (part(0)?, self.owner());
        match (kind, session) {
            (b"message" | b"smessage", Some(session)) => session.channel_message(part(1)?, part(2)?),
            (b"pmessage", Some(session)) => session.pattern_message(part(1)?, part(2)?, part(3)?),
            (b"invalidate", Some(session)) => match items.get(1) {
                Some(RangeFrame::Array { data: keys, .. }) => {
                    keys.iter().filter_map(|key| text(data, key)).for_each(|key| session.changed(key));
                }
                _ => session.all_changed(),
            },
            (b"subscribe" | b"psubscribe" | b"ssubscribe" | b"unsubscribe" | b"punsubscribe" | b"sunsubscribe", _) => {
                self.confirmed(kind, part(1)?)?;
            }
            _ => log::debug!("a push of the kind {:?} is ignored", String::from_utf8_lossy(kind)),
        }
        Ok(())
    }

    /// A subscription has begun or ended.
    fn confirmed(&self, kind: &[u8], channel: &[u8]) -> Result<(), EngineError> {
        if let Some(pending) = self.take_pending_for(channel) {
            self.settle(pending, Reply::Null);
        } else if kind == b"sunsubscribe" {
            if let Some(session) = self.owner() {
                session.shard_moved(channel);
            }
        } else {
            return Err(EngineError::Protocol("a subscription is confirmed that was not asked for".to_owned()));
        }
        Ok(())
    }
}

/// The hub's error for an error of Redis.
fn refusal(said: String) -> EngineError {
    if said.starts_with("ERR unknown command") { EngineError::Unsupported(said) } else { EngineError::Refused(said) }
}
