//! The streams of the scripted server, and their consumers.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};
use torsade::prelude::*;

use super::matches;

/// When the simulated world begins: in nanoseconds since 1970.
const EPOCH: u64 = 1_796_000_000_000_000_000;

#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) seq: u64,
    pub(crate) time: u64,
    pub(crate) subject: String,
    pub(crate) headers: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

#[derive(Clone)]
pub(crate) struct Stream {
    pub(crate) config: Value,
    created: u64,
    pub(crate) messages: VecDeque<Kept>,
    pub(crate) last_seq: u64,
    /// By the ids of messages, which are not stored again.
    ids: HashMap<String, u64>,
}

pub(crate) struct Consumer {
    pub(crate) stream: String,
    pub(crate) to: String,
    filter: Option<String>,
    /// The next that it is sent, and how many it was sent.
    next: u64,
    sent: u64,
    /// Of those of one subject, only the last that was there when it was made.
    lasts: Option<Vec<u64>>,
    heartbeat: u64,
    beat: u64,
}

/// All streams, and their consumers by name.
#[derive(Default)]
pub(crate) struct Streams {
    reactor: RefCell<Option<Reactor>>,
    /// What the time of the reactor counts from.
    base: Cell<u64>,
    pub(crate) streams: RefCell<BTreeMap<String, Stream>>,
    pub(crate) consumers: RefCell<BTreeMap<String, Consumer>>,
    names: Cell<u64>,
}

impl Streams {
    /// Goes on, on this reactor, whose time may begin anew.
    pub(crate) fn begin_on(&self, reactor: &Reactor) {
        let now = u64::try_from(reactor.now().as_nanos()).unwrap();
        let before = if self.reactor.borrow().is_some() { self.now() } else { EPOCH + now };
        self.base.set(before - now);
        self.reactor.replace(Some(reactor.clone()));
        self.forget_consumers();
    }

    /// Nanoseconds since 1970; never twice the same.
    pub(crate) fn now(&self) -> u64 {
        self.names.set(self.names.get() + 1);
        let now = self.reactor.borrow().as_ref().map_or(0, |reactor| u64::try_from(reactor.now().as_nanos()).unwrap());
        self.base.get() + now + self.names.get()
    }

    pub(crate) fn create(&self, name: &str, config: &Value) {
        let stream =
            Stream { config: config.clone(), created: self.now(), messages: VecDeque::new(), last_seq: 0, ids: HashMap::new() };
        self.streams.borrow_mut().insert(name.to_owned(), stream);
    }

    /// Stores a message if a stream wants it; gives the server's answer.
    pub(crate) fn store(&self, subject: &str, headers: &[u8], payload: &[u8]) -> Option<String> {
        let now = self.now();
        let mut streams = self.streams.borrow_mut();
        let (name, stream) = streams.iter_mut().find(|(_, stream)| stream.wants(subject))?;
        let text = String::from_utf8_lossy(headers);
        let id = text.split("\r\n").find_map(|line| line.strip_prefix("Nats-Msg-Id: ")).map(str::to_owned);
        if let Some(seq) = id.as_ref().and_then(|id| stream.ids.get(id)) {
            return Some(format!("{{\"stream\":\"{name}\", \"seq\":{seq},\"duplicate\": true}}"));
        }
        stream.last_seq += 1;
        let seq = stream.last_seq;
        if let Some(id) = id {
            stream.ids.insert(id, seq);
        }
        if stream.config["max_msgs_per_subject"] == 1 {
            stream.messages.retain(|kept| kept.subject != subject);
        }
        let (headers, payload) = (headers.to_vec(), payload.to_vec());
        stream.messages.push_back(Kept { seq, time: now, subject: subject.to_owned(), headers, payload });
        stream.trim(now);
        Some(format!("{{\"stream\":\"{name}\", \"seq\":{seq}}}"))
    }

    /// What STREAM.INFO says; none if there is no such stream.
    pub(crate) fn info(&self, name: &str) -> Option<Value> {
        let now = self.now();
        let mut streams = self.streams.borrow_mut();
        let stream = streams.get_mut(name)?;
        stream.trim(now);
        Some(json!({
            "config": stream.config, "created": time(stream.created),
            "state": { "messages": stream.messages.len(), "first_seq": stream.first_seq(), "last_seq": stream.last_seq },
        }))
    }

    /// Makes a consumer; gives its name and how many messages wait for it.
    pub(crate) fn consume(&self, stream_name: &str, config: &Value) -> Option<(String, usize)> {
        let now = self.now();
        let name = format!("C{}", self.names.get());
        let mut streams = self.streams.borrow_mut();
        let stream = streams.get_mut(stream_name)?;
        stream.trim(now);
        let filter = config["filter_subject"].as_str().map(str::to_owned);
        let is_wanted = |kept: &&Kept| filter.as_ref().is_none_or(|filter| matches(filter, &kept.subject));
        let lasts = (config["deliver_policy"] == "last_per_subject").then(|| {
            let wanted: BTreeMap<_, _> = stream.messages.iter().filter(is_wanted).map(|kept| (&kept.subject, kept.seq)).collect();
            let mut lasts: Vec<_> = wanted.into_values().collect();
            lasts.sort_unstable();
            lasts
        });
        let next = config["opt_start_seq"].as_u64().unwrap_or(1);
        let pending = lasts
            .as_ref()
            .map_or_else(|| stream.messages.iter().filter(|kept| kept.seq >= next).filter(is_wanted).count(), Vec::len);
        let consumer = Consumer {
            stream: stream_name.to_owned(),
            to: config["deliver_subject"].as_str().expect("a push consumer").to_owned(),
            filter,
            next,
            sent: 0,
            lasts,
            heartbeat: config["idle_heartbeat"].as_u64().unwrap_or_default(),
            beat: now,
        };
        self.consumers.borrow_mut().insert(name.clone(), consumer);
        Some((name, pending))
    }

    /// Sends every consumer what it has not had; one that nobody listens to any more is deleted.
    pub(crate) fn feed(&self, mut deliver: impl FnMut(&str, &str, &str, &[u8], &[u8]) -> bool) {
        let names: Vec<_> = self.consumers.borrow().keys().cloned().collect();
        for name in names {
            while let Some((kept, consumer)) = self.next(&name) {
                let (to, stream, sent, pending) = consumer;
                let reply = format!("$JS.ACK.{stream}.{name}.1.{}.{sent}.{}.{pending}", kept.seq, kept.time);
                if !deliver(&to, &kept.subject, &reply, &kept.headers, &kept.payload) {
                    self.consumers.borrow_mut().remove(&name);
                }
            }
        }
    }

    /// The next message for a consumer; with where it goes, of which stream, as which, and how many are behind it.
    fn next(&self, name: &str) -> Option<(Kept, (String, String, u64, usize))> {
        let (mut consumers, streams) = (self.consumers.borrow_mut(), self.streams.borrow());
        let consumer = consumers.get_mut(name)?;
        let stream = streams.get(&consumer.stream)?;
        let is_wanted = |kept: &&Kept| {
            kept.seq >= consumer.next
                && consumer.filter.as_ref().is_none_or(|filter| matches(filter, &kept.subject))
                && consumer.lasts.as_ref().is_none_or(|lasts| lasts.contains(&kept.seq))
        };
        let mut wanted = stream.messages.iter().filter(is_wanted);
        let kept = wanted.next()?.clone();
        let pending = wanted.count();
        consumer.next = kept.seq + 1;
        consumer.sent += 1;
        Some((kept, (consumer.to.clone(), consumer.stream.clone(), consumer.sent, pending)))
    }

    /// How many messages a consumer was sent, and how many wait for it.
    pub(crate) fn state_of(&self, name: &str) -> Option<(u64, usize)> {
        let (consumers, streams) = (self.consumers.borrow(), self.streams.borrow());
        let consumer = consumers.get(name)?;
        let is_wanted = |kept: &&Kept| {
            kept.seq >= consumer.next
                && consumer.filter.as_ref().is_none_or(|filter| matches(filter, &kept.subject))
                && consumer.lasts.as_ref().is_none_or(|lasts| lasts.contains(&kept.seq))
        };
        Some((consumer.sent, streams.get(&consumer.stream)?.messages.iter().filter(is_wanted).count()))
    }

    /// The heartbeats that are due: to whom, and what they say.
    pub(crate) fn beats(&self) -> Vec<(String, String)> {
        let now = self.now();
        let mut consumers = self.consumers.borrow_mut();
        let due = consumers.values_mut().filter(|consumer| consumer.heartbeat > 0 && consumer.beat + consumer.heartbeat <= now);
        due.map(|consumer| {
            consumer.beat = now;
            let says = format!(
                "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: {}\r\nNats-Last-Stream: {}\r\n\r\n",
                consumer.sent,
                consumer.next.saturating_sub(1)
            );
            (consumer.to.clone(), says)
        })
        .collect()
    }

    pub(crate) fn message_time(&self, stream: &str, seq: u64) -> Option<String> {
        let streams = self.streams.borrow();
        streams.get(stream)?.messages.iter().find(|kept| kept.seq == seq).map(|kept| time(kept.time))
    }

    pub(crate) fn clear(&self) {
        self.streams.borrow_mut().clear();
        self.forget_consumers();
    }

    pub(crate) fn delete(&self, name: &str) {
        self.streams.borrow_mut().remove(name);
        self.consumers.borrow_mut().retain(|_, consumer| consumer.stream != name);
    }

    pub(crate) fn forget_consumers(&self) {
        self.consumers.borrow_mut().clear();
    }

    pub(crate) fn lose_last(&self, count: usize) {
        for stream in self.streams.borrow_mut().values_mut() {
            for _ in 0..count {
                if let Some(lost) = stream.messages.pop_back() {
                    stream.last_seq = lost.seq - 1;
                    stream.ids.retain(|_, seq| *seq < lost.seq);
                }
            }
        }
    }

    pub(crate) fn skip_one(&self) {
        self.consumers.borrow_mut().values_mut().for_each(|consumer| {
            consumer.next += 1;
            consumer.sent += 1;
        });
    }

    pub(crate) fn stored(&self, name: &str) -> (Vec<String>, i64) {
        let streams = self.streams.borrow();
        let Some(stream) = streams.get(name) else { return (Vec::new(), 0) };
        let payloads = stream.messages.iter().map(|kept| String::from_utf8_lossy(&kept.payload).into_owned());
        (payloads.collect(), stream.config["max_msgs"].as_i64().unwrap_or(-1))
    }
}

impl Stream {
    pub(crate) fn wants(&self, subject: &str) -> bool {
        let subjects = self.config["subjects"].as_array().into_iter().flatten().filter_map(Value::as_str);
        subjects.into_iter().any(|pattern| matches(pattern, subject))
    }

    fn first_seq(&self) -> u64 {
        match self.messages.front() {
            Some(first) => first.seq,
            None if self.last_seq == 0 => 0,
            None => self.last_seq + 1,
        }
    }

    fn trim(&mut self, now: u64) {
        let most = self.config["max_msgs"].as_i64().and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
        while self.messages.len() > most {
            self.messages.pop_front();
        }
        let age = self.config["max_age"].as_u64().unwrap_or_default();
        if age > 0 {
            self.messages.retain(|kept| kept.time + age > now);
        }
    }
}

/// Nanoseconds since 1970 as the server writes them.
fn time(nanoseconds: u64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    let (mut days, clock) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    let length =
        |year: u64| if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) { 366 } else { 365 };
    while days >= length(year) {
        days -= length(year);
        year += 1;
    }
    let february = length(year) - 337;
    let mut month = 1;
    for days_in_month in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < days_in_month {
            break;
        }
        days -= days_in_month;
        month += 1;
    }
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    let fraction = nanoseconds % 1_000_000_000;
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{fraction:09}Z", days + 1)
}

/// How often the server looks whether heartbeats are due.
pub(crate) const BEAT: Duration = Duration::from_millis(250);
