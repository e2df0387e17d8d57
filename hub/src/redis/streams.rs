//! Stored topics: each is a stream whose key is the topic.

use std::rc::Rc;

use torsade_protocols::SharedBytes;
use torsade_reactor::Deferred;

use crate::engine::{ORIGIN, Page, Start};
use crate::error::EngineError;
use crate::message::{Message, MessageId, Publication};
use crate::topic::Topic;

use super::command::{Answer, Answered, Pending};
use super::cursor::{NOTHING, StreamInfo};
use super::reply::Reply;
use super::session::Session;

/// The field with the payload.
const PAYLOAD: &[u8] = b"payload";

/// The longest payload: an answer may contain two of them.
pub(super) const MAX_PAYLOAD: usize = 7 * 1024 * 1024;

/// How many entries are asked for at first; after that as many as are about `BATCH_BYTES`, if they are as long as the last ones.
pub(super) const FIRST_BATCH: usize = 1;
const BATCH_BYTES: usize = 256 * 1024;

/// The most entries of one answer: with payloads of the default maximum they fit into a frame.
const LARGEST_BATCH: usize = 28;

/// An entry of a stream.
pub(super) struct Entry {
    pub(super) id: MessageId,
    fields: Vec<Reply>,
}

impl Entry {
    fn new(reply: Reply) -> Option<Self> {
        let [id, fields] = <[Reply; 2]>::try_from(reply.into_list()?).ok()?;
        // A deleted entry has null here.
        Some(Self { id: parse_id(id.text()?)?, fields: fields.into_list().unwrap_or_default() })
    }

    pub(super) fn list(reply: Reply) -> Result<Vec<Self>, EngineError> {
        let wrong = || EngineError::Protocol("a range of a stream is not made of entries".to_owned());
        let entries = match reply {
            Reply::Null => Vec::new(),
            reply => reply.into_list().ok_or_else(wrong)?,
        };
        entries.into_iter().map(|entry| Self::new(entry).ok_or_else(wrong)).collect()
    }

    pub(super) fn bytes(&self) -> usize {
        self.fields.iter().filter_map(|field| field.text()).map(|field| field.len() + 16).sum::<usize>() + 32
    }

    /// The message of an entry: the payload is the field of that name, or the only field; all others are headers.
    pub(super) fn into_message(self, topic: &Topic) -> Message {
        let mut texts = self.fields.into_iter().map(|field| field.into_text().unwrap_or_default());
        let mut pairs = Vec::new();
        while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            pairs.push((name, value));
        }
        let named = pairs.iter().position(|(name, _)| name == PAYLOAD);
        let at = named.or_else(|| (pairs.len() == 1).then_some(0));
        let payload = at.map(|at| pairs.remove(at).1).unwrap_or_default();
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
        };
        let headers: Vec<_> = pairs.into_iter().map(|(name, value)| (text(name), text(value))).collect();
        Message::new(topic.clone(), SharedBytes::from(payload)).with_headers(headers).with_id(self.id)
    }
}

impl StreamInfo {
    /// Returns `None` if there is no such stream.
    pub(super) fn new(result: Answered) -> Result<Option<Self>, EngineError> {
        let reply = match result {
            Err(EngineError::Refused(said)) if said.contains("no such key") => return Ok(None),
            result => result?,
        };
        let number = |name| reply.get(name).and_then(Reply::number);
        let last = reply.get("last-generated-id").and_then(Reply::text).and_then(parse_id);
        let (Some(length), Some(last)) = (number("length"), last) else {
            return Err(EngineError::Protocol("XINFO does not say where a stream is".to_owned()));
        };
        let added = number("entries-added");
        Ok(Some(Self { last, added, removed: added.map(|added| added.saturating_sub(length)) }))
    }
}

pub(super) fn parse_id(text: &[u8]) -> Option<MessageId> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// How many entries to ask for next, if the last `count` had so many bytes.
pub(super) fn next_batch(count: usize, bytes: usize) -> usize {
    let fitting = count.max(1).saturating_mul(BATCH_BYTES) / bytes.max(1);
    fitting.clamp(1, LARGEST_BATCH).min(count.saturating_mul(4).max(1))
}

impl Session {
    pub(super) fn store(
        self: &Rc<Self>,
        topic: &Topic,
        publication: &Publication,
        origin: &str,
        keep: u64,
    ) -> Deferred<MessageId> {
        let (key, keep) = (topic.as_str().as_bytes(), keep.to_string());
        let mut parts: Vec<&[u8]> = vec![b"XADD", key, b"MAXLEN", b"~", keep.as_bytes(), b"*", PAYLOAD, publication.payload()];
        for (name, value) in publication.headers() {
            parts.extend([name.as_bytes(), value.as_bytes()]);
        }
        parts.extend([ORIGIN.as_bytes(), origin.as_bytes()]);
        let stored = self.call(key, &parts);
        if !self.address.sharded {
            // For subscribers to patterns.
            self.main().send(&[b"PUBLISH", key, publication.payload()], Pending::new(Answer::Ignored));
        }
        stored.add_both(|answered| {
            let answered = answered.unwrap_or_else(|failure| Err(EngineError::Lost(failure.to_string())));
            let id = answered?.text().and_then(parse_id);
            Ok(id.ok_or_else(|| EngineError::Protocol("XADD was not answered with an id".to_owned()))?)
        })
    }

    pub(super) fn fetch(self: &Rc<Self>, topic: &Topic, from: Start, most: usize) -> Deferred<Page> {
        let (session, topic) = (Rc::clone(self), topic.clone());
        let fetched = self.reactor.spawn(async move {
            let page = match from {
                Start::Next => Page::default(),
                Start::Last(count) => session.fetch_last(&topic, count.min(most)).await?,
                Start::After(after) => session.fetch_after(&topic, Some(after), most).await?,
                Start::Oldest => session.fetch_after(&topic, None, most).await?,
            };
            Ok(page)
        });
        fetched.into_deferred()
    }

    /// Each batch begins with the last entry of the one before: if that is gone, others may be gone as well. A page can report
    /// that only at its beginning, so it ends before a gap.
    async fn fetch_after(self: &Rc<Self>, topic: &Topic, after: Option<MessageId>, most: usize) -> Result<Page, EngineError> {
        let (key, mut page, mut batch) = (topic.as_str().as_bytes(), Page::default(), FIRST_BATCH);
        let mut last = after.filter(|after| *after != NOTHING);
        if after == Some(NOTHING) {
            let info = answer(self.ask(key, &[b"XINFO", b"STREAM", key])).await;
            page.trimmed = StreamInfo::new(info)?.is_some_and(|info| info.removed != Some(0));
        }
        while page.messages.len() < most {
            let count = batch.min(most - page.messages.len()) + usize::from(last.is_some());
            let from = last.map_or_else(|| "-".to_owned(), |last| last.to_string());
            let range = self.ask(key, &[b"XRANGE", key, from.as_bytes(), b"+", b"COUNT", count.to_string().as_bytes()]);
            let mut entries = Entry::list(answer(range).await?)?;
            let full = entries.len() >= count;
            batch = next_batch(count, entries.iter().map(Entry::bytes).sum());
            if let Some(last) = last {
                if entries.first().is_some_and(|first| first.id == last) {
                    entries.remove(0);
                } else if !page.messages.is_empty() {
                    break;
                } else {
                    page.trimmed = true;
                    entries.truncate(most - page.messages.len());
                }
            }
            last = entries.last().map(|entry| entry.id).or(last);
            page.messages.extend(entries.into_iter().map(|entry| entry.into_message(topic)));
            if !full {
                break;
            }
        }
        Ok(page)
    }

    /// The last messages, which are read backwards.
    async fn fetch_last(self: &Rc<Self>, topic: &Topic, most: usize) -> Result<Page, EngineError> {
        let (key, mut entries, mut batch) = (topic.as_str().as_bytes(), Vec::<Entry>::new(), FIRST_BATCH);
        while entries.len() < most {
            let last = entries.last().map(|entry| entry.id);
            let count = batch.min(most - entries.len()) + usize::from(last.is_some());
            let from = last.map_or_else(|| "+".to_owned(), |last| last.to_string());
            let range = self.ask(key, &[b"XREVRANGE", key, from.as_bytes(), b"-", b"COUNT", count.to_string().as_bytes()]);
            let range = Entry::list(answer(range).await?)?;
            let full = range.len() >= count;
            batch = next_batch(count, range.iter().map(Entry::bytes).sum());
            // If the last one is gone, so is everything before it.
            let goes_on = last.is_none() || range.first().map(|entry| entry.id) == last;
            entries.extend(range.into_iter().filter(|entry| goes_on && Some(entry.id) != last));
            if !full || !goes_on {
                break;
            }
        }
        let messages = entries.into_iter().rev().map(|entry| entry.into_message(topic)).collect();
        Ok(Page { messages, trimmed: false })
    }
}

/// Waits for an answer.
pub(super) async fn answer(answered: Deferred<Answered>) -> Answered {
    answered.await.unwrap_or_else(|failure| Err(EngineError::Lost(failure.to_string())))
}
