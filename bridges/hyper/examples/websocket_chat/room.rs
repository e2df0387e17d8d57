//! The members of the chat, and the messages waiting for each.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use async_tungstenite::tungstenite::Message;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use futures_lite::future::{or, yield_now};
use hyper::body::Bytes;
use torsade::{Deferred, DeferredQueue, Firer, Reactor};

use super::socket::{End, Receiver, Sender, hear, within};

/// How many messages may wait for a member; a slower member is removed.
const QUEUE: usize = 256;
/// How often the server sends a ping.
const PING: Duration = Duration::from_secs(25);

/// All members who have a name.
#[derive(Default)]
pub struct Room(RefCell<BTreeMap<String, Member>>);

struct Member {
    queue: DeferredQueue<Message>,
    /// Ends the conversation: fired with a reason, or dropped for a member who is too slow.
    end: Firer<End>,
}

impl Room {
    /// Takes part, until the peer closes.
    pub async fn chat(&self, sender: &mut Sender, receiver: &mut Receiver, reactor: &Reactor) -> Result<(), End> {
        let queue = DeferredQueue::new(QUEUE, 1);
        within(reactor, sender.send(Message::text("What is your name?"))).await?;
        let (name, ended) = loop {
            let Some(name) = hear_line(receiver, reactor).await? else { return Ok(()) };
            match self.join(&name, &queue) {
                Some(ended) => break (name, ended),
                None => within(reactor, sender.send(Message::text("Please choose another."))).await?,
            }
        };
        let listen = async {
            while let Some(line) = hear_line(receiver, reactor).await? {
                self.say(&format!("<{name}> {line}"));
                // However many lines arrived with this one, the other members take turns first, and no queue fills up with them.
                yield_now().await;
            }
            Ok(())
        };
        let ping = async {
            while reactor.sleep(PING).await.is_ok() && queue.put(Message::Ping(Bytes::new())).is_ok() {}
            Ok(())
        };
        let ended = async { Err(ended.await.unwrap_or(End::Told(CloseCode::Policy, "you did not keep up"))) };
        let left = async {
            let end = or(listen, or(speak(sender, &queue), ping)).await;
            self.leave(&name);
            end
        };
        // A removed member is no longer in the room, and another may have the name.
        or(ended, left).await
    }

    /// `None` if the name is taken or invalid.
    fn join(&self, name: &str, queue: &DeferredQueue<Message>) -> Option<Deferred<End>> {
        if name.trim().is_empty() || name.len() > 40 || self.0.borrow().contains_key(name) {
            return None;
        }
        let (ended, end) = Deferred::new();
        self.0.borrow_mut().insert(name.to_owned(), Member { queue: queue.clone(), end });
        self.say(&format!("* {name} is here"));
        Some(ended)
    }

    fn leave(&self, name: &str) {
        self.0.borrow_mut().remove(name);
        self.say(&format!("* {name} has left"));
    }

    fn say(&self, line: &str) {
        let message = Message::text(line);
        let mut slow = Vec::new();
        self.0.borrow_mut().retain(|name, member| {
            let kept = member.queue.put(message.clone()).is_ok();
            slow.extend((!kept).then(|| name.clone()));
            kept
        });
        slow.iter().for_each(|name| self.say(&format!("* {name} did not keep up")));
    }

    /// Ends all conversations.
    pub fn close(&self) {
        for (_, member) in self.0.take() {
            member.end.callback(End::Told(CloseCode::Away, "the server stops"));
        }
    }
}

async fn hear_line(receiver: &mut Receiver, reactor: &Reactor) -> Result<Option<String>, End> {
    match hear(receiver, reactor).await? {
        Some(Message::Text(line)) => Ok(Some(line.to_string())),
        Some(_) => Err(End::Told(CloseCode::Unsupported, "this is a chat of text")),
        None => Ok(None),
    }
}

/// Sends the messages that wait.
async fn speak(sender: &mut Sender, queue: &DeferredQueue<Message>) -> Result<(), End> {
    while let Ok(message) = queue.get().await {
        sender.send(message).await?;
    }
    Ok(())
}
