//! Who is in a topic: a key for each process, which expires, and a sorted set with the names of the processes.

use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::Deferred;

use crate::error::EngineError;
use crate::topic::Topic;

use super::command::Answered;
use super::session::Session;
use super::streams::answer;

/// For how many expiries a process that says nothing stays in the set; its key is gone much earlier.
const FORGOTTEN_AFTER: u32 = 4;

/// The keys of how many processes one command reads: if each has as many names as a hub announces, the answer fits into a frame.
const AT_ONCE: usize = 16;

/// The set of a topic. The braces put all keys of a topic into one slot of a cluster.
fn set_of(topic: &Topic) -> String {
    format!("{{torsade-presence:{topic}}}")
}

impl Session {
    pub(super) fn announce(self: &Rc<Self>, topic: &Topic, process: &str, members: &[u8], expiry: Duration) -> Deferred<()> {
        let set = set_of(topic);
        let key = format!("{set}{process}");
        let now = self.server.clock + self.reactor.now();
        let kept = expiry.saturating_mul(FORGOTTEN_AFTER);
        let (expires, forgotten) = ((now + expiry).as_millis().to_string(), now.saturating_sub(kept).as_millis().to_string());
        let (expiry, kept) = (expiry.as_millis().max(1).to_string(), kept.as_millis().max(1).to_string());
        self.call_all(
            set.as_bytes(),
            &[
                &[b"SET", key.as_bytes(), members, b"PX", expiry.as_bytes()],
                &[b"ZADD", set.as_bytes(), expires.as_bytes(), process.as_bytes()],
                &[b"ZREMRANGEBYSCORE", set.as_bytes(), b"-inf", forgotten.as_bytes()],
                &[b"PEXPIRE", set.as_bytes(), kept.as_bytes()],
            ],
        )
    }

    pub(super) fn withdraw(self: &Rc<Self>, topic: &Topic, process: &str) -> Deferred<()> {
        let set = set_of(topic);
        let key = format!("{set}{process}");
        self.call_all(set.as_bytes(), &[&[b"DEL", key.as_bytes()], &[b"ZREM", set.as_bytes(), process.as_bytes()]])
    }

    /// The processes whose keys have not expired; the set may name more.
    pub(super) fn announced(self: &Rc<Self>, topic: &Topic) -> Deferred<Vec<(String, Vec<u8>)>> {
        let (session, set) = (Rc::clone(self), set_of(topic));
        let announced = self.reactor.spawn(async move {
            let wrong = || EngineError::Protocol("a set of processes is not made of names".to_owned());
            let named = answer(session.ask(set.as_bytes(), &[b"ZRANGE", set.as_bytes(), b"0", b"-1"])).await?;
            let named = named.into_list().ok_or_else(wrong)?.into_iter();
            let names: Vec<_> = named.filter_map(|name| String::from_utf8(name.into_text()?).ok()).collect();
            let mut there = Vec::new();
            for names in names.chunks(AT_ONCE) {
                let keys: Vec<_> = names.iter().map(|name| format!("{set}{name}")).collect();
                let parts: Vec<_> = [&b"MGET"[..]].into_iter().chain(keys.iter().map(String::as_bytes)).collect();
                let values = answer(session.ask(set.as_bytes(), &parts)).await?.into_list().ok_or_else(wrong)?;
                there.extend(names.iter().zip(values).filter_map(|(name, value)| Some((name.clone(), value.into_text()?))));
            }
            Ok(there)
        });
        announced.into_deferred()
    }

    /// Sends commands of one slot together, and fires when all are answered.
    fn call_all(self: &Rc<Self>, key: &[u8], commands: &[&[&[u8]]]) -> Deferred<()> {
        let answers: Vec<Deferred<Answered>> = commands.iter().map(|parts| self.call(key, parts)).collect();
        let done = self.reactor.spawn(async move {
            let mut first = Ok(());
            for reply in answers {
                let answered = answer(reply).await.map(drop);
                first = first.and(answered);
            }
            Ok(first?)
        });
        done.into_deferred()
    }
}
