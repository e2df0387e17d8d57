//! Requests and answers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::connection::{Barrier, Connection};
use crate::error::EngineError;

/// The minimum time for an answer, from the moment at which the server has seen the request; other clients of JetStream wait as
/// long. A node that is lost takes requests with it, which are made again after this time or twice as long. The transfer does not
/// count, because the link may be slow and have a backlog.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The answer to a request.
pub(super) struct Answer<'a> {
    /// 503 if there is no responder.
    pub(super) status: Option<u16>,
    pub(super) payload: &'a [u8],
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) enum Unanswered {
    /// It did not arrive in time. The request may have been carried out.
    TimedOut,
    /// A permission is missing, in the server's words.
    Denied(String),
    Lost(EngineError),
}

type Answered = Box<dyn FnOnce(Result<Answer<'_>, Unanswered>)>;

struct Pending {
    subject: Rc<str>,
    answered: Answered,
}

/// The outstanding requests, in the order in which they were made.
///
/// While there are any, a PING is sent [`TIMEOUT`] after the first request and after each PONG. A PONG arrives after everything
/// that the server sent before it, so a request that the server had seen at one PONG and has not answered at the next has timed
/// out.
#[derive(Default)]
pub(super) struct Requests {
    pending: RefCell<BTreeMap<u64, Pending>>,
    /// Whether such a PING is scheduled or outstanding.
    is_watched: Cell<bool>,
    /// The last request that the server had seen at the last PONG.
    seen: Cell<u64>,
}

impl Requests {
    /// An answer has arrived; ignored if there is no such request.
    pub(super) fn answer(&self, token: u64, status: Option<u16>, payload: &[u8]) {
        let pending = self.pending.borrow_mut().remove(&token);
        if let Some(pending) = pending {
            (pending.answered)(Ok(Answer { status, payload }));
        }
    }

    /// The server denied a message on `subject`, which it reports once for each message, in their order. If the message was a
    /// request, fails it and returns true.
    pub(super) fn deny(&self, subject: &str, text: &str) -> bool {
        let denied = {
            let mut pending = self.pending.borrow_mut();
            let first = pending.iter().find(|(_, pending)| &*pending.subject == subject).map(|(token, _)| *token);
            first.and_then(|token| pending.remove(&token))
        };
        let Some(denied) = denied else { return false };
        (denied.answered)(Err(Unanswered::Denied(text.to_owned())));
        true
    }

    pub(super) fn fail_all(&self, error: &EngineError) {
        let pending = std::mem::take(&mut *self.pending.borrow_mut());
        for pending in pending.into_values() {
            (pending.answered)(Err(Unanswered::Lost(error.clone())));
        }
    }

    /// Fails the requests up to this one.
    fn give_up(&self, last: u64) {
        loop {
            let first = {
                let mut pending = self.pending.borrow_mut();
                pending.first_entry().filter(|first| *first.key() <= last).map(|first| first.remove())
            };
            let Some(first) = first else { return };
            (first.answered)(Err(Unanswered::TimedOut));
        }
    }
}

impl Connection {
    /// Sends a request; `answered` is called once, from the loop.
    pub(super) fn request(
        self: &Rc<Self>,
        subject: &Rc<str>,
        headers: &[(&str, &str)],
        payload: &[u8],
        answered: impl FnOnce(Result<Answer<'_>, Unanswered>) + 'static,
    ) {
        let token = self.number();
        let pending = Pending { subject: Rc::clone(subject), answered: Box::new(answered) };
        self.requests.pending.borrow_mut().insert(token, pending);
        self.send(subject, Some(&format!("{}.{token}", self.inbox)), headers, payload);
        self.watch_requests();
    }

    /// Schedules the next PING, if there are requests.
    fn watch_requests(self: &Rc<Self>) {
        if self.requests.pending.borrow().is_empty() || self.requests.is_watched.replace(true) {
            return;
        }
        let there = Rc::downgrade(self);
        self.transport.reactor().call_later(TIMEOUT, move || {
            if let Some(connection) = there.upgrade().filter(|connection| connection.transport.is_connected()) {
                connection.ping(Barrier::Requests { last: connection.last_number() });
            }
        });
    }

    /// The server has seen all requests up to this one.
    pub(super) fn requests_seen(self: &Rc<Self>, last: u64) {
        self.requests.is_watched.set(false);
        self.requests.give_up(self.requests.seen.replace(last));
        self.watch_requests();
    }
}
