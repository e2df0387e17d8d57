//! Presence, in JetStream buckets whose entries expire.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use torsade_protocols::Result;
use torsade_reactor::Deferred;

use super::connection::Connection;
use super::jetstream::ApiError;
use super::reading::Part;
use crate::message::Publication;
use crate::topic::Topic;

/// The prefix of a bucket's name, followed by the expiry in milliseconds.
const BUCKET: &str = "torsade-presence-";
/// The shortest expiry that the server allows.
const SHORTEST: Duration = Duration::from_millis(100);
/// The maximum number of processes in a topic.
const MAX_PROCESSES: usize = 100_000;
/// The header that marks a deleted key.
const OPERATION: &str = "KV-Operation";

fn bucket(expiry: Duration) -> String {
    format!("{BUCKET}{}", expiry.as_millis())
}

impl Connection {
    pub(super) fn announce(self: &Rc<Self>, topic: &Topic, process: &str, members: &[u8], expiry: Duration) -> Deferred<()> {
        self.put(topic, process, &Publication::from(members), None, expiry.max(SHORTEST))
    }

    pub(super) fn withdraw(self: &Rc<Self>, topic: &Topic, process: &str, expiry: Duration) -> Deferred<()> {
        self.put(topic, process, &Publication::from(b""), Some((OPERATION, "DEL")), expiry.max(SHORTEST))
    }

    fn put(
        self: &Rc<Self>,
        topic: &Topic,
        process: &str,
        value: &Publication,
        operation: Option<(&str, &str)>,
        expiry: Duration,
    ) -> Deferred<()> {
        let bucket = bucket(expiry);
        let stream = self.streams.bucket(&bucket, expiry);
        let subject = format!("$KV.{bucket}.{topic}.{}", word(process));
        self.store(&stream, &subject, value, operation).add_callback(|_| Ok(()))
    }

    /// Returns the announcements of all processes, from all buckets: processes may have different periods.
    pub(super) async fn announced(self: &Rc<Self>, topic: &Topic) -> Result<Vec<(String, Vec<u8>)>, ApiError> {
        let mut all = Vec::new();
        for stream in self.buckets().await? {
            let bucket = stream.trim_start_matches("KV_");
            let prefix = format!("$KV.{bucket}.{topic}.");
            let options = [
                ("deliver_policy".to_owned(), json!("last_per_subject")),
                ("filter_subject".to_owned(), json!(format!("{prefix}*"))),
            ];
            let part = Part { options: options.into_iter().collect(), most: MAX_PROCESSES, last: u64::MAX };
            let read = match self.read_part(&stream, part).await {
                Err(error) if error.is_missing_stream() => continue,
                result => result?,
            };
            let there = read.into_iter().filter(|read| read.headers.get(OPERATION).is_none());
            all.extend(there.filter_map(|read| Some((name(read.subject.strip_prefix(&prefix)?)?, read.payload))));
        }
        Ok(all)
    }

    /// Returns the streams of all buckets.
    async fn buckets(self: &Rc<Self>) -> Result<Vec<String>, ApiError> {
        let (mut names, mut offset) = (Vec::new(), 0);
        loop {
            let answer = self.api("STREAM.NAMES", &json!({ "subject": "$KV.*.>", "offset": offset })).await?;
            let page: Vec<_> =
                answer.get("streams").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
            offset += page.len();
            names.extend(page.iter().filter(|name| name.starts_with("KV_torsade-presence-")).map(|name| (*name).to_owned()));
            let total =
                answer.get("total").and_then(Value::as_u64).and_then(|total| usize::try_from(total).ok()).unwrap_or_default();
            if page.is_empty() || offset >= total {
                return Ok(names);
            }
        }
    }
}

/// Encodes a name as one word of a subject, with the characters that a key may have.
fn word(name: &str) -> String {
    name.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() || byte == b'-' { char::from(byte).to_string() } else { format!("={byte:02x}") }
            },
        )
        .collect()
}

/// Decodes a word.
fn name(word: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(word.len());
    let mut parts = word.split('=');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(part.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_named_by_one_word_of_a_subject() {
        for process in ["7f-1", "host.name_1", "", "ä b", "=41"] {
            let word = word(process);
            assert!(word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'=')), "{word}");
            assert_eq!(name(&word).as_deref(), Some(process));
        }
        assert_eq!(name("=4"), None);
        assert_eq!(name("=ff"), None);
    }
}
