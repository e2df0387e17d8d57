//! A socket that outlives its connection.
//!
//! When everything was sent, a protocol that is closing has nothing left to wait for, and gets `connection_lost`. But the socket
//! has to stay open for a while: closing a socket that has unread input, or still gets some, makes the system send a reset, and a
//! reset may destroy data that the peer has not read yet. So the socket is kept here, and its input is dropped, until the peer
//! ends its stream. The peer has [`CloseTimeout::linger`] for that once it has acknowledged everything; if it stops acknowledging
//! for [`CloseTimeout::flush`] before that, the socket is reset.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::DelayedCall;
use torsade_reactor::spi::{Ready, Source, Stream, Token, UnixSocket};

use crate::connection::shared::Shared;

use super::progress::Progress;
use super::state::CloseTimeout;

/// The most such sockets of one reactor; another one closes the oldest.
const LINGERING: usize = 1024;

/// How long such a socket keeps its descriptor when a new connection needs it: an honest peer has ended by then.
const PATIENCE: Duration = Duration::from_secs(1);

/// The sockets of one reactor that outlive their connections, by the time of that connection's end and its number.
pub(crate) type LingeringSockets = BTreeMap<(Duration, u64), Rc<Lingering>>;

pub(crate) struct Lingering {
    shared: Rc<Shared>,
    token: Token,
    key: (Duration, u64),
    /// The connection's name in logs.
    name: String,
    stream: Box<dyn Stream>,
    sent: u64,
    timeout: CloseTimeout,
    progress: RefCell<Progress>,
    /// The peer has everything, including our end of stream.
    acknowledged: Cell<bool>,
    /// A short read is not the last, as in `State`.
    reads_on: Cell<bool>,
    timer: RefCell<Option<DelayedCall>>,
}

impl Lingering {
    /// Takes over a socket, registered under `token`, to which `sent` bytes and our end of stream were written.
    pub(super) fn begin(
        shared: &Rc<Shared>,
        (token, id, name): (Token, u64, String),
        stream: Box<dyn Stream>,
        sent: u64,
        timeout: CloseTimeout,
    ) {
        let now = shared.reactor.now();
        if let Some(unix) = stream.unix() {
            unix.set_descriptor_limit(0);
        }
        let lingering = Rc::new(Self {
            shared: Rc::clone(shared),
            token,
            key: (now, id),
            name,
            reads_on: Cell::new(!stream.short_io_ends_edge()),
            stream,
            sent,
            timeout,
            progress: RefCell::new(Progress::new(now, false)),
            acknowledged: Cell::new(false),
            timer: RefCell::default(),
        });
        shared.reactor.replace_source(token, Rc::<Self>::clone(&lingering));
        // What was reported before will not be reported again.
        shared.reactor.requeue(token, Ready::READABLE);
        lingering.look_soon();
        let oldest = {
            let mut all = shared.lingering.borrow_mut();
            all.insert(lingering.key, lingering);
            if all.len() > LINGERING { all.pop_first() } else { None }
        };
        if let Some((_, oldest)) = oldest {
            log::debug!("{} is closed: more than {LINGERING} sockets wait for their peers to end", oldest.name);
            oldest.close();
        }
    }

    /// Makes room for a new connection: closes the socket whose peer has had everything for the longest time, if for at least
    /// [`PATIENCE`]; returns whether there was one.
    pub(crate) fn make_room(shared: &Shared) -> bool {
        let now = shared.reactor.now();
        let oldest = {
            let all = shared.lingering.borrow();
            let found = all.values().find(|lingering| lingering.acknowledged.get()).map(Rc::clone);
            found.filter(|lingering| now.saturating_sub(lingering.key.0) >= PATIENCE)
        };
        oldest.is_some_and(|oldest| {
            log::debug!("{} is closed to make room for a new connection", oldest.name);
            oldest.close();
            true
        })
    }

    /// Checks how much the peer has acknowledged, and sets the timer accordingly.
    fn look(self: &Rc<Self>) {
        let now = self.shared.reactor.now();
        let patience = self.timeout.flush;
        let (left, stuck, next) = {
            let mut progress = self.progress.borrow_mut();
            let left = progress.look(&*self.stream, self.sent, now);
            (left, progress.is_stuck(now, patience), progress.next_look(now, patience))
        };
        if left == 0 {
            self.acknowledged.set(true);
            self.wait(self.timeout.linger);
        } else if stuck {
            log::warn!("{}: {left} bytes are lost: its peer took none of them for {patience:?}", self.name);
            if let Err(error) = self.stream.reset_on_close() {
                log::debug!("{}: the peer will not see a reset: {error}", self.name);
            }
            self.close();
        } else {
            self.wait(next);
        }
    }

    /// Checks soon, since the peer may have everything. The peer's own end, which needs no check, usually comes first.
    fn look_soon(self: &Rc<Self>) {
        let next = {
            let mut progress = self.progress.borrow_mut();
            if !progress.hint() {
                return;
            }
            progress.next_look(self.shared.reactor.now(), self.timeout.flush)
        };
        self.wait(next);
    }

    fn wait(self: &Rc<Self>, delay: Duration) {
        let lingering = Rc::downgrade(self);
        let timer = self.shared.reactor.call_later(delay, move || {
            if let Some(lingering) = lingering.upgrade() {
                lingering.expire();
            }
        });
        if let Some(old) = self.timer.replace(Some(timer)) {
            // It may be what is running now.
            old.cancel().ok();
        }
    }

    fn expire(self: &Rc<Self>) {
        if self.acknowledged.get() {
            log::debug!("{}: its peer has everything but does not end its stream: closed", self.name);
            self.close();
        } else {
            self.look();
        }
    }

    fn close(&self) {
        if let Some(timer) = self.timer.take() {
            // It may be what is running now.
            timer.cancel().ok();
        }
        self.shared.lingering.borrow_mut().remove(&self.key);
        self.shared.reactor.remove_source(self.token);
    }

    /// Whether a short read is not the last.
    fn reads_on(&self) -> bool {
        self.reads_on.get() || self.stream.unix().is_some_and(UnixSocket::was_cut_short)
    }

    /// Drops one buffer of input; the end of the stream ends the wait.
    fn read(&self) {
        let result = self.stream.read(&mut self.shared.read_buffer.borrow_mut());
        match result {
            Ok(0) => self.close(),
            Ok(count) if count < self.shared.read_buffer.borrow().len() && !self.reads_on() => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                log::debug!("{}, which was over, failed: {error}", self.name);
                self.close();
            }
            _ => self.shared.reactor.requeue(self.token, Ready::READABLE),
        }
    }
}

impl Source for Lingering {
    fn ready(self: Rc<Self>, ready: Ready) {
        if ready.contains(Ready::READ_CLOSED) {
            self.reads_on.set(true);
        }
        // The system reports this when our end of stream is acknowledged.
        if ready.contains(Ready::WRITABLE) && !self.acknowledged.get() {
            self.look_soon();
        }
        if ready.intersects(Ready::READABLE | Ready::READ_CLOSED | Ready::ERROR) {
            self.read();
        }
    }

    fn end_of_turn(self: Rc<Self>) {}

    fn shut_down(self: Rc<Self>) {
        if !self.acknowledged.get() {
            self.look();
        }
        // Otherwise the peer may take the rest until the reactor has stopped.
        if self.acknowledged.get() {
            self.close();
        }
    }

    fn abort(self: Rc<Self>) {
        self.close();
    }

    fn describe(&self) -> String {
        format!("the socket of {}, which is over, until its peer ends its stream", self.name)
    }
}
