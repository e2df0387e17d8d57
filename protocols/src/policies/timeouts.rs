//! Timeouts of idle connections.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::{DelayedCall, Result};

use crate::address::Address;
use crate::factory::{ClientFactory, Factory};
use crate::policies::wrapping::{ProtocolWrapper, WrappedProtocol, WrapperTransport};
use crate::protocol::Protocol;
use crate::reason::Reason;
use crate::shared_bytes::SharedBytes;
use crate::transport::Transport;

/// How many times per period the connection is checked for output that still flows to the peer.
const CHECKS_PER_PERIOD: u32 = 4;

/// A timeout for a protocol to own: the protocol sets it, and resets it at each sign of life.
///
/// When it expires, the connection is closed, or the function passed to [`with`](Self::with) is called. Resetting costs next to
/// nothing, so it may be done for every read. Dropping it cancels it.
///
/// One sign of life is detected by itself: that the peer takes what was written to it, however slowly. What the peer has
/// [acknowledged](Transport::delivery) is checked four times per period, and an increase since the last check restarts the
/// period.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use torsade::prelude::*;
/// use torsade::{policies::TimeoutMixin, testing::StringTransportWithDisconnection};
///
/// struct Impatient(TimeoutMixin);
///
/// impl Protocol for Impatient {
///     fn connection_made(&mut self, transport: &Transport) -> Result {
///         self.0.set_timeout(transport, Some(Duration::from_secs(60)));
///         Ok(())
///     }
///
///     fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
///         self.0.reset_timeout();
///         Ok(())
///     }
/// }
///
/// let mut connection = StringTransportWithDisconnection::new(Impatient(TimeoutMixin::new()));
/// connection.make_connection();
/// connection.advance(Duration::from_secs(59));
/// connection.deliver(b"still here");
/// connection.advance(Duration::from_secs(59));
/// assert!(!connection.is_closing());
/// connection.advance(Duration::from_secs(1));
/// assert!(connection.is_closing());
/// ```
pub struct TimeoutMixin(Rc<TimeoutState>);

struct TimeoutState {
    period: Cell<Option<Duration>>,
    /// When the last sign of life was seen.
    alive: Cell<Duration>,
    /// What the peer had acknowledged at the last check, if that was not everything.
    acknowledged: Cell<Option<u64>>,
    /// The next check, and the transport it is for.
    call: RefCell<Option<(Transport, DelayedCall)>>,
    expired: Box<dyn Fn(&Transport)>,
}

impl TimeoutMixin {
    /// A timeout that closes the connection.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Transport::lose_connection)
    }

    /// A timeout that calls `expired` instead, from the loop.
    #[doc(alias = "timeoutConnection")]
    #[must_use]
    pub fn with(expired: impl Fn(&Transport) + 'static) -> Self {
        Self(Rc::new(TimeoutState {
            period: Cell::new(None),
            alive: Cell::default(),
            acknowledged: Cell::new(None),
            call: RefCell::default(),
            expired: Box::new(expired),
        }))
    }

    /// Sets how long `transport` may be idle from now on; `None` for no timeout. Returns the previous setting.
    #[doc(alias = "setTimeout")]
    #[track_caller]
    #[expect(clippy::must_use_candidate, reason = "it is called for its effect")]
    pub fn set_timeout(&self, transport: &Transport, period: Option<Duration>) -> Option<Duration> {
        let previous = self.0.period.replace(period);
        let running = self.0.call.take();
        let Some(period) = period else {
            cancel(running);
            return previous;
        };
        self.0.begin(transport);
        match running {
            Some((known, call)) if known.id() == transport.id() && call.reset(period / CHECKS_PER_PERIOD).is_ok() => {
                self.0.call.replace(Some((known, call)));
            }
            other => {
                cancel(other);
                self.0.arm(transport, period / CHECKS_PER_PERIOD);
            }
        }
        previous
    }

    /// Restarts the period; does nothing if none is running.
    #[doc(alias = "resetTimeout")]
    pub fn reset_timeout(&self) {
        if let (Some(period), Some((transport, call))) = (self.0.period.get(), &*self.0.call.borrow()) {
            self.0.begin(transport);
            // It may be expiring just now, which is fine.
            call.reset(period / CHECKS_PER_PERIOD).ok();
        }
    }
}

impl TimeoutState {
    fn begin(&self, transport: &Transport) {
        self.alive.set(transport.reactor().now());
        self.acknowledged.set(None);
    }

    #[track_caller]
    fn arm(self: &Rc<Self>, transport: &Transport, delay: Duration) {
        let (state, idle) = (Rc::downgrade(self), transport.clone());
        let call = transport.reactor().call_later(delay, move || {
            if let Some(state) = state.upgrade() {
                state.check(&idle);
            }
        });
        self.call.replace(Some((transport.clone(), call)));
    }

    /// Part of the period has passed without a reset.
    fn check(self: &Rc<Self>, transport: &Transport) {
        self.call.take();
        let Some(period) = self.period.get() else { return };
        let (now, delivery) = (transport.reactor().now(), transport.delivery());
        let waits = delivery.outstanding > 0;
        let before = self.acknowledged.replace(waits.then_some(delivery.acknowledged));
        if before.is_some_and(|before| delivery.acknowledged > before) {
            self.alive.set(now);
        }
        let left = self.alive.get().saturating_add(period).saturating_sub(now);
        if left > Duration::ZERO {
            self.arm(transport, left.min(period / CHECKS_PER_PERIOD));
        } else if waits && before.is_none() {
            // The loop was late: only another check can tell whether the output flows.
            self.arm(transport, period / CHECKS_PER_PERIOD);
        } else {
            (self.expired)(transport);
        }
    }
}

fn cancel(call: Option<(Transport, DelayedCall)>) {
    if let Some((_, call)) = call {
        // It may be expiring just now, which is fine.
        call.cancel().ok();
    }
}

impl Default for TimeoutMixin {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TimeoutMixin {
    fn drop(&mut self) {
        cancel(self.0.call.take());
    }
}

impl fmt::Debug for TimeoutMixin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimeoutMixin").field("period", &self.0.period.get()).finish_non_exhaustive()
    }
}

/// Closes connections that are idle: nothing received, nothing written, nothing taken by the peer.
///
/// The default period is 30 minutes, as in Twisted. It begins when the connection is made, and restarts at each read and write
/// and while the peer keeps taking what was written (which does not count in Twisted); see [`TimeoutMixin`]. When it ends, the
/// connection is closed gracefully.
#[doc(alias = "TimeoutProtocol")]
#[derive(Debug)]
pub struct TimeoutFactory<F> {
    factory: F,
    period: Duration,
}

impl<F: Factory> TimeoutFactory<F> {
    /// Closes connections of `factory` that are idle for 30 minutes.
    #[must_use]
    pub const fn new(factory: F) -> Self {
        Self { factory, period: Duration::from_secs(30 * 60) }
    }

    /// Sets how long a connection may be idle.
    #[doc(alias = "timeoutPeriod")]
    #[must_use]
    pub const fn period(mut self, period: Duration) -> Self {
        self.period = period;
        self
    }
}

impl<F: Factory> Factory for TimeoutFactory<F> {
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        let protocol = self.factory.build_protocol(peer)?;
        let wrapper = Timed { timeout: TimeoutMixin::new(), period: self.period };
        Some(Box::new(WrappedProtocol::new(wrapper, protocol)))
    }

    fn wrapped(&mut self) -> Option<&mut dyn Factory> {
        Some(&mut self.factory)
    }
}

impl<F: ClientFactory> ClientFactory for TimeoutFactory<F> {
    fn wrapped_client(&mut self) -> Option<&mut dyn ClientFactory> {
        Some(&mut self.factory)
    }
}

struct Timed {
    timeout: TimeoutMixin,
    period: Duration,
}

impl ProtocolWrapper for Timed {
    fn connection_made(&self, below: &WrapperTransport) -> Result {
        self.timeout.set_timeout(below, Some(self.period));
        Ok(())
    }

    fn data_received(&self, _: &WrapperTransport, data: &[u8], above: &mut dyn FnMut(&[u8]) -> Result) -> Result {
        self.timeout.reset_timeout();
        above(data)
    }

    fn connection_lost(&self, below: &WrapperTransport, _: &Reason) {
        self.timeout.set_timeout(below, None);
    }

    fn write(&self, below: &WrapperTransport, data: &[u8]) {
        self.timeout.reset_timeout();
        below.write(data);
    }

    fn write_shared(&self, below: &WrapperTransport, data: &SharedBytes) {
        self.timeout.reset_timeout();
        below.write_shared(data);
    }
}
