//! A connection that gets the messages of a topic.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::mem::size_of;
use std::rc::Rc;

use torsade_protocols::{Reason, SharedBytes, Transport};
use torsade_reactor::report_error;
use torsade_reactor::spi::catch;

use crate::encoding::{Encoded, Encoding};
use crate::engine::Start;
use crate::message::{Gap, Message};
use crate::stats::Counters;

/// How a connection receives messages; for [`Hub::join`](crate::Hub::join).
///
/// # Limits
/// Messages wait in the transport until it has 64 KiB of unsent bytes (its high watermark), then in a queue of at most 256
/// messages and 1 MiB. While a connection reads, its queue is empty. When the queue is full, [`overflow`](Self::overflow)
/// applies.
pub struct Member {
    transport: Transport,
    encoding: Encoding,
    messages: usize,
    bytes: usize,
    overflow: Overflow,
    pub(crate) start: Start,
    filter: Option<Box<Filter>>,
}

type Filter = dyn Fn(&Message) -> bool;

/// What happens to messages for a connection whose queue is full.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Overflow {
    /// The oldest messages in the queue are dropped; the connection is told of the [`Gap`] where they would have been.
    #[default]
    DropOldest,
    /// The new messages are dropped; the connection is told of the [`Gap`] where they would have been.
    DropNewest,
    /// The connection is aborted, with [`Reason::LimitExceeded`].
    Disconnect,
}

impl Member {
    /// Makes a member that receives messages published from now on, as bytes made by `encoding`.
    #[must_use]
    pub fn new(transport: &Transport, encoding: &Encoding) -> Self {
        Self {
            transport: transport.clone(),
            encoding: encoding.clone(),
            messages: 256,
            bytes: 1 << 20,
            overflow: Overflow::default(),
            start: Start::Next,
            filter: None,
        }
    }

    /// Sets the limits of its queue, in messages and in bytes; default 256 and 1 MiB. One message always fits.
    #[must_use]
    pub fn limit(self, messages: usize, bytes: usize) -> Self {
        Self { messages: if messages == 0 { 1 } else { messages }, bytes, ..self }
    }

    /// Sets what happens when its queue is full; default [`DropOldest`](Overflow::DropOldest).
    #[must_use]
    pub fn overflow(self, overflow: Overflow) -> Self {
        Self { overflow, ..self }
    }

    /// Sets where it begins in a [stored topic](crate::HubConfig::replay); default [`Start::Next`].
    #[must_use]
    pub fn start(self, start: Start) -> Self {
        Self { start, ..self }
    }

    /// Leaves out messages for which `filter` returns false, for example those that this member has sent. `filter` must not use
    /// the hub.
    #[must_use]
    pub fn filter(self, filter: impl Fn(&Message) -> bool + 'static) -> Self {
        Self { filter: Some(Box::new(filter)), ..self }
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("transport", &self.transport)
            .field("messages", &self.messages)
            .field("bytes", &self.bytes)
            .field("overflow", &self.overflow)
            .finish_non_exhaustive()
    }
}

/// A member that has joined, and its queue.
#[derive(Debug)]
pub(crate) struct Joined {
    member: Member,
    waiting: RefCell<Waiting>,
    /// Whether the transport has been asked to report when it has room.
    asked: Cell<bool>,
}

/// A member's queue. While the connection reads it is empty and has no allocation.
#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<Item>,
    messages: usize,
    bytes: usize,
}

#[derive(Debug)]
enum Item {
    Message(SharedBytes),
    /// The encoded report of a gap.
    Gap(SharedBytes),
    /// How many messages were dropped here.
    Dropped(u64),
}

impl Joined {
    pub(crate) fn new(member: Member) -> Self {
        Self { member, waiting: RefCell::default(), asked: Cell::new(false) }
    }

    pub(crate) const fn transport(&self) -> &Transport {
        &self.member.transport
    }

    /// Returns whether the queue is empty and the transport takes more.
    pub(crate) fn has_room(&self) -> bool {
        !self.asked.get() && !self.member.transport.is_congested()
    }

    /// Sends the message, or queues it.
    pub(crate) fn deliver(self: &Rc<Self>, encoded: &mut Encoded<'_>, counters: &Rc<Counters>) {
        if !self.wants(encoded.message()) {
            return;
        }
        let Some(bytes) = encoded.bytes(&self.member.encoding) else { return };
        if self.has_room() {
            self.member.transport.write_shared(bytes);
            counters.delivered.add(1);
            return;
        }
        if !self.member.transport.is_closing() {
            self.wait(Item::Message(bytes.clone()), counters);
            self.ask(counters);
        }
    }

    fn wants(&self, message: &Message) -> bool {
        let Some(filter) = &self.member.filter else { return true };
        catch(|| filter(message)).unwrap_or_else(|panic| {
            report_error("hub", format_args!("a filter of messages of {} {panic}", message.topic()));
            false
        })
    }

    /// Tells the connection of a gap, in order with the messages. In the queue, the report counts as a message.
    pub(crate) fn tell(self: &Rc<Self>, gap: &Gap, counters: &Rc<Counters>) {
        let Some(bytes) = self.member.encoding.gap(gap) else { return };
        if self.has_room() {
            self.member.transport.write_shared(&bytes);
        } else if !self.member.transport.is_closing() {
            self.wait(Item::Gap(bytes), counters);
            self.ask(counters);
        }
    }

    fn wait(&self, item: Item, counters: &Counters) {
        let (most, most_bytes, length) = (self.member.messages, self.member.bytes, item.length());
        let mut waiting = self.waiting.borrow_mut();
        let is_full =
            |waiting: &Waiting| waiting.messages >= most || (waiting.messages > 0 && waiting.bytes + length > most_bytes);
        match self.member.overflow {
            _ if !is_full(&waiting) => waiting.push(item),
            Overflow::DropOldest => {
                let mut dropped = 0;
                while is_full(&waiting) {
                    dropped += waiting.drop_oldest();
                }
                counters.dropped_slow.add(dropped);
                waiting.push(item);
            }
            Overflow::DropNewest => {
                waiting.drop_newest();
                counters.dropped_slow.add(1);
            }
            Overflow::Disconnect => {
                let dropped = std::mem::take(&mut *waiting).messages + 1;
                drop(waiting);
                counters.dropped_slow.add(u64::try_from(dropped).unwrap_or(u64::MAX));
                counters.disconnected_slow.add(1);
                let reason = Reason::LimitExceeded { what: "the queue of hub messages", limit: most_bytes };
                self.member.transport.connection().fail_with(reason);
                // A peer that does not read would delay a graceful close. Aborting keeps the reason.
                self.member.transport.abort_connection();
            }
        }
    }

    /// Asks the transport to report when it has room; then sends what is queued.
    fn ask(self: &Rc<Self>, counters: &Rc<Counters>) {
        if self.asked.replace(true) {
            return;
        }
        let (this, counters) = (Rc::downgrade(self), Rc::clone(counters));
        let told = self.member.transport.when_writable().add_both(move |writable| {
            if let (Some(this), Ok(())) = (this.upgrade(), writable) {
                this.asked.set(false);
                this.send_waiting(&counters);
            }
            Ok(())
        });
        told.detach();
    }

    fn send_waiting(self: &Rc<Self>, counters: &Rc<Counters>) {
        while !self.member.transport.is_congested() {
            let Some(item) = self.waiting.borrow_mut().pop() else { return };
            let bytes = match item {
                Item::Message(bytes) => {
                    counters.delivered.add(1);
                    Some(bytes)
                }
                Item::Gap(bytes) => Some(bytes),
                Item::Dropped(dropped) => self.member.encoding.gap(&Gap::Slow { dropped }),
            };
            if let Some(bytes) = bytes {
                self.member.transport.write_shared(&bytes);
            }
        }
        if !self.waiting.borrow().items.is_empty() {
            self.ask(counters);
        }
    }
}

/// What an item of the queue takes in addition to its bytes.
const ITEM: usize = size_of::<Item>();

impl Item {
    fn length(&self) -> usize {
        match self {
            Self::Message(bytes) | Self::Gap(bytes) => bytes.len(),
            Self::Dropped(_) => 0,
        }
    }
}

impl Waiting {
    fn push(&mut self, item: Item) {
        self.messages += 1;
        self.bytes += item.length() + ITEM;
        self.items.push_back(item);
    }

    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front();
        if let Some(item @ (Item::Message(_) | Item::Gap(_))) = &item {
            self.messages -= 1;
            self.bytes -= item.length() + ITEM;
        }
        if self.items.is_empty() {
            // Frees the memory that a burst took.
            self.items = VecDeque::new();
        }
        item
    }

    /// Drops the oldest message; returns how many that were: 1, or 0 if there is none.
    fn drop_oldest(&mut self) -> u64 {
        let before = match self.pop() {
            Some(Item::Dropped(before)) => before,
            Some(Item::Message(_) | Item::Gap(_)) => {
                self.items.push_front(Item::Dropped(1));
                return 1;
            }
            None => return 0,
        };
        let dropped = u64::from(matches!(self.pop(), Some(Item::Message(_) | Item::Gap(_))));
        self.items.push_front(Item::Dropped(before + dropped));
        dropped
    }

    fn drop_newest(&mut self) {
        match self.items.back_mut() {
            Some(Item::Dropped(dropped)) => *dropped += 1,
            _ => self.items.push_back(Item::Dropped(1)),
        }
    }
}
