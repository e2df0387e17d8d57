//! The channels and patterns of pub/sub, and the hub's subscriptions behind each.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use torsade_protocols::SharedBytes;

use crate::engine::{Interest, InterestId};
use crate::message::{Gap, Message};
use crate::topic::{Pattern, Topic};

use super::command::{Answer, Pending};
use super::session::Session;

/// The live subscriptions: all but those to stored topics.
#[derive(Default)]
pub(super) struct Channels {
    by_name: RefCell<HashMap<Rc<[u8]>, Channel>>,
    by_id: RefCell<HashMap<InterestId, Rc<[u8]>>>,
}

/// A channel or a glob; several patterns may have the same glob.
#[derive(Clone)]
struct Channel {
    /// `None` if it is a glob.
    topic: Option<Topic>,
    wanted: Rc<[(InterestId, Pattern)]>,
}

impl Channels {
    fn find(&self, name: &[u8]) -> Option<Channel> {
        self.by_name.borrow().get(name).cloned()
    }

    fn add(&self, name: &Rc<[u8]>, id: InterestId, pattern: &Pattern) {
        self.by_id.borrow_mut().insert(id, Rc::clone(name));
        let mut by_name = self.by_name.borrow_mut();
        let channel = by_name.entry(Rc::clone(name)).or_insert_with(|| Channel { topic: pattern.topic(), wanted: Rc::new([]) });
        channel.wanted = channel.wanted.iter().cloned().chain([(id, pattern.clone())]).collect();
    }

    /// Returns its name and whether it is a glob, if nobody else wants it.
    fn remove(&self, id: InterestId) -> Option<(Rc<[u8]>, bool)> {
        let name = self.by_id.borrow_mut().remove(&id)?;
        let mut by_name = self.by_name.borrow_mut();
        let channel = by_name.get_mut(&name)?;
        channel.wanted = channel.wanted.iter().filter(|(known, _)| *known != id).cloned().collect();
        if !channel.wanted.is_empty() {
            return None;
        }
        let is_glob = channel.topic.is_none();
        by_name.remove(&name);
        Some((name, is_glob))
    }
}

impl Session {
    pub(super) fn subscribe(self: &Rc<Self>, id: InterestId, interest: &Interest) {
        let topic = interest.pattern.topic();
        if let (true, Some(topic)) = (interest.is_stored(), &topic) {
            return self.subscribe_stored(id, topic, interest.after);
        }
        let name: Rc<[u8]> = match &topic {
            Some(topic) => topic.as_str().as_bytes().into(),
            None => glob(interest.pattern.as_str()).into(),
        };
        self.channels.add(&name, id, &interest.pattern);
        let session = Rc::downgrade(self);
        self.subscribe_channel(
            &name,
            topic.is_none(),
            Answer::call(move |result| {
                let Some(session) = session.upgrade().filter(|session| session.end_error().is_none()) else { return };
                match result {
                    Ok(_) => session.upstream.subscribed(id, None),
                    Err(error) => {
                        session.channels.remove(id);
                        session.upstream.refused(id, &error.to_string());
                    }
                }
            }),
        );
    }

    /// Sends the command even if it was sent before: the answer has to come from the loop.
    fn subscribe_channel(self: &Rc<Self>, name: &Rc<[u8]>, is_glob: bool, answer: Answer) {
        let command: &[u8] = match (is_glob, self.address.sharded) {
            (true, _) => b"PSUBSCRIBE",
            (false, true) => b"SSUBSCRIBE",
            (false, false) => b"SUBSCRIBE",
        };
        self.send_subscription(command, name, answer);
    }

    fn send_subscription(self: &Rc<Self>, command: &[u8], name: &Rc<[u8]>, answer: Answer) {
        let confirmed_for = Some(Rc::clone(name));
        if self.address.sharded {
            self.send(name, &[command, name], confirmed_for, answer);
        } else {
            self.main().send(&[command, name], Pending { confirmed_for, ..Pending::new(answer) });
        }
    }

    pub(super) fn unsubscribe(self: &Rc<Self>, id: InterestId) {
        if let Some((name, is_glob)) = self.channels.remove(id) {
            let command: &[u8] = match (is_glob, self.address.sharded) {
                (true, _) => b"PUNSUBSCRIBE",
                (false, true) => b"SUNSUBSCRIBE",
                (false, false) => b"UNSUBSCRIBE",
            };
            self.send_subscription(command, &name, Answer::Ignored);
        }
        self.unsubscribe_stored(id);
    }

    pub(super) fn channel_message(&self, name: &[u8], payload: &[u8]) {
        let Some(channel) = self.channels.find(name) else { return };
        let Some(topic) = channel.topic else { return };
        let message = Message::new(topic, SharedBytes::from(payload.to_vec()));
        for (id, _) in &*channel.wanted {
            self.upstream.message(*id, &message);
        }
    }

    pub(super) fn pattern_message(&self, glob: &[u8], name: &[u8], payload: &[u8]) {
        let Some(channel) = self.channels.find(glob) else { return };
        // Other programs may use channels that are not topics; no pattern matches them.
        let topic = std::str::from_utf8(name).ok().and_then(|name| name.parse::<Topic>().ok());
        let Some(topic) = topic else { return };
        let message = Message::new(topic, SharedBytes::from(payload.to_vec()));
        for (id, pattern) in &*channel.wanted {
            if pattern.matches(message.topic()) {
                self.upstream.message(*id, &message);
            }
        }
    }

    /// A node was lost, and with it its subscriptions: each is reported as a gap and made again.
    pub(super) fn shards_lost(self: &Rc<Self>, is_lost: impl Fn(&[u8]) -> bool) {
        if self.address.sharded {
            let names: Vec<_> = self.channels.by_name.borrow().keys().filter(|name| is_lost(name)).cloned().collect();
            names.iter().for_each(|name| self.shard_moved(name));
        }
    }

    /// A node has given a channel's slot away and ended the subscription: subscribes at the slot's new node.
    pub(super) fn shard_moved(self: &Rc<Self>, name: &[u8]) {
        let Some(channel) = self.channels.find(name) else { return };
        for (id, _) in &*channel.wanted {
            self.upstream.missed(*id, &Gap::Disconnected);
        }
        let session = Rc::downgrade(self);
        let ids: Vec<_> = channel.wanted.iter().map(|(id, _)| *id).collect();
        let answer = Answer::call(move |result| {
            let Some(session) = session.upgrade().filter(|session| session.end_error().is_none()) else { return };
            if let Err(error) = result {
                for id in ids {
                    session.channels.remove(id);
                    session.upstream.refused(id, &error.to_string());
                }
            }
        });
        self.subscribe_channel(&Rc::from(name), false, answer);
    }
}

/// A glob that matches at least what the pattern matches: its wildcards become `*`, everything else is escaped.
fn glob(pattern: &str) -> Vec<u8> {
    let mut glob = Vec::with_capacity(pattern.len() + 8);
    for (at, word) in pattern.split('.').enumerate() {
        if at > 0 {
            glob.push(b'.');
        }
        if matches!(word, "*" | ">") {
            glob.push(b'*');
            continue;
        }
        for byte in word.bytes() {
            if matches!(byte, b'?' | b'*' | b'[' | b']' | b'\\' | b'^') {
                glob.push(b'\\');
            }
            glob.push(byte);
        }
    }
    glob
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_glob_has_of_its_own_is_escaped() {
        assert_eq!(glob("room.*.a?[b]\\"), b"room.*.a\\?\\[b\\]\\\\");
        assert_eq!(glob("room.>"), b"room.*");
    }
}
