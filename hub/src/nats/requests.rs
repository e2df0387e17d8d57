//! Requests, and the answers to them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::connection::Connection;
use crate::error::EngineError;

/// How long an answer may take.
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
    deadline: Duration,
    answered: Answered,
}

/// The requests that are not answered yet, in the order in which they were made; so the first has the first deadline.
#[derive(Default)]
pub(super) struct Requests {
    pending: RefCell<BTreeMap<u64, Pending>>,
    /// A look at the first deadline is scheduled.
    is_watched: Cell<bool>,
}

impl Requests {
    /// The answer to a request came, or nothing that was asked for.
    pub(super) fn answer(&self, token: u64, status: Option<u16>, payload: &[u8]) {
        let pending = self.pending.borrow_mut().remove(&token);
        if let Some(pending) = pending {
            (pending.answered)(Ok(Answer { status, payload }));
        }
    }

    /// The server lets nobody like us publish on `subject`.
    pub(super) fn deny(&self, subject: &str, text: &str) {
        let tokens: Vec<_> = {
            let pending = self.pending.borrow();
            pending.iter().filter(|(_, pending)| &*pending.subject == subject).map(|(token, _)| *token).collect()
        };
        for token in tokens {
            let denied = self.pending.borrow_mut().remove(&token);
            if let Some(denied) = denied {
                (denied.answered)(Err(Unanswered::Denied(text.to_owned())));
            }
        }
    }

    /// The connection is lost.
    pub(super) fn fail_all(&self, error: &EngineError) {
        let pending = std::mem::take(&mut *self.pending.borrow_mut());
        for pending in pending.into_values() {
            (pending.answered)(Err(Unanswered::Lost(error.clone())));
        }
    }

    fn expire(&self, now: Duration) {
        loop {
            let expired = {
                let mut pending = self.pending.borrow_mut();
                pending.first_entry().filter(|first| first.get().deadline <= now).map(|first| first.remove())
            };
            let Some(expired) = expired else { return };
            (expired.answered)(Err(Unanswered::TimedOut));
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
        let deadline = self.transport.reactor().now().saturating_add(TIMEOUT);
        let pending = Pending { subject: Rc::clone(subject), deadline, answered: Box::new(answered) };
        self.requests.pending.borrow_mut().insert(token, pending);
        self.send(subject, Some(&format!("{}.{token}", self.inbox)), headers, payload);
        if !self.requests.is_watched.replace(true) {
            watch(self, TIMEOUT);
        }
    }
}

/// Looks for requests whose time is over, as long as there are any.
fn watch(connection: &Rc<Connection>, delay: Duration) {
    let there: Weak<_> = Rc::downgrade(connection);
    connection.transport.reactor().call_later(delay, move || {
        let Some(connection) = there.upgrade() else { return };
        let now = connection.transport.reactor().now();
        connection.requests.expire(now);
        let next = connection.requests.pending.borrow().first_key_value().map(|(_, pending)| pending.deadline);
        match next {
            Some(deadline) => watch(&connection, deadline.saturating_sub(now)),
            None => connection.requests.is_watched.set(false),
        }
    });
}
