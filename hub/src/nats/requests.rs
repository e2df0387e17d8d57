//! Requests, and the answers to them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::connection::{Barrier, Connection};
use crate::error::EngineError;

/// How long the server has to answer, at least, from when it has seen the request. The time of transfer does not count: the link may be slow
/// and have a backlog.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What came in answer.
pub(super) struct Answer<'a> {
    /// 503 if there is nobody who could answer.
    pub(super) status: Option<u16>,
    pub(super) payload: &'a [u8],
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) enum Unanswered {
    /// It did not come in time. The request may have been carried out.
    TimedOut,
    /// We may not ask, in the server's words.
    Denied(String),
    Lost(EngineError),
}

type Answered = Box<dyn FnOnce(Result<Answer<'_>, Unanswered>)>;

struct Pending {
    subject: Rc<str>,
    answered: Answered,
}

/// The requests that are not answered yet, in the order in which they were made.
///
/// While there are some, the server gets a PING, and another one [`TIMEOUT`] after each PONG. A PONG comes behind everything that the server sent
/// before it. So a request that it had seen at one PONG, and that is not answered at the next, is given up.
#[derive(Default)]
pub(super) struct Requests {
    pending: RefCell<BTreeMap<u64, Pending>>,
    /// Such a PING is on its way, or will be sent.
    is_watched: Cell<bool>,
    /// The last request that the server had seen at the last PONG.
    seen: Cell<u64>,
}

impl Requests {
    /// The answer to a request came, or nothing that was asked for.
    pub(super) fn answer(&self, token: u64, status: Option<u16>, payload: &[u8]) {
        let pending = self.pending.borrow_mut().remove(&token);
        if let Some(pending) = pending {
            (pending.answered)(Ok(Answer { status, payload }));
        }
    }

    /// The server did not let us publish on `subject`, which it says once for each message, in their order. Gives whether the message was a
    /// request; if so, that has failed.
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

    /// The connection is lost.
    pub(super) fn fail_all(&self, error: &EngineError) {
        let pending = std::mem::take(&mut *self.pending.borrow_mut());
        for pending in pending.into_values() {
            (pending.answered)(Err(Unanswered::Lost(error.clone())));
        }
    }

    /// Gives up those up to this one.
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
    /// Sends a request; `answered` is called from the loop, once.
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

    /// Sends a PING in a while, if there are requests.
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
