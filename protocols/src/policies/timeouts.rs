//! Closing what is idle.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::{DelayedCall, Result};

use crate::address::Address;
use crate::connect_error::ConnectError;
use crate::connector::Connector;
use crate::factory::{ClientFactory, Factory};
use crate::policies::wrapping::{ProtocolWrapper, WrappedProtocol, WrapperTransport};
use crate::protocol::Protocol;
use crate::reason::Reason;
use crate::transport::Transport;

/// A timeout for a protocol to keep in itself: set, reset at each sign of life, and acted upon.
///
/// When it expires the connection is closed, or what was given to [`with`](Self::with) is done. Resetting costs next to
/// nothing, so it may be done for every read. Dropped, it is cancelled.
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
    /// The call, and the transport that it is about.
    call: RefCell<Option<(u64, DelayedCall)>>,
    expired: Box<dyn Fn(&Transport)>,
}

impl TimeoutMixin {
    /// A timeout that closes the connection.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Transport::lose_connection)
    }

    /// A timeout that does `expired` instead; called from the loop.
    #[doc(alias = "timeoutConnection")]
    #[must_use]
    pub fn with(expired: impl Fn(&Transport) + 'static) -> Self {
        Self(Rc::new(TimeoutState { period: Cell::new(None), call: RefCell::default(), expired: Box::new(expired) }))
    }

    /// Sets how long `transport` may be idle from now on, or none to have no timeout; gives what was set before.
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
        let call = match running {
            Some((id, call)) if id == transport.id() && call.reset(period).is_ok() => call,
            other => {
                cancel(other);
                let (state, idle) = (Rc::downgrade(&self.0), transport.clone());
                transport.reactor().call_later(period, move || {
                    if let Some(state) = state.upgrade() {
                        state.call.take();
                        (state.expired)(&idle);
                    }
                })
            }
        };
        self.0.call.replace(Some((transport.id(), call)));
        previous
    }

    /// Begins the period anew; does nothing when none is running.
    #[doc(alias = "resetTimeout")]
    pub fn reset_timeout(&self) {
        if let (Some(period), Some((_, call))) = (self.0.period.get(), &*self.0.call.borrow()) {
            // It may be expiring just now, which is as good.
            call.reset(period).ok();
        }
    }
}

fn cancel(call: Option<(u64, DelayedCall)>) {
    if let Some((_, call)) = call {
        // It may be expiring just now, which is as good.
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

/// Closes connections on which nothing was received or written for a while.
///
/// 30 minutes unless set, as in Twisted. The period begins when the connection is made and anew at each read and write;
/// when it ends, the connection is closed in order.
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

    /// Sets for how long a connection may be idle.
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

    fn start_factory(&mut self) {
        self.factory.start_factory();
    }

    fn stop_factory(&mut self) {
        self.factory.stop_factory();
    }
}

impl<F: ClientFactory> ClientFactory for TimeoutFactory<F> {
    fn started_connecting(&mut self, connector: &Connector) -> Result {
        self.factory.started_connecting(connector)
    }

    fn client_connection_failed(&mut self, connector: &Connector, reason: &ConnectError) -> Result {
        self.factory.client_connection_failed(connector, reason)
    }

    fn client_connection_lost(&mut self, connector: &Connector, reason: &Reason) -> Result {
        self.factory.client_connection_lost(connector, reason)
    }
}

/// One connection with an idle timeout.
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
}
