//! A client that reconnects.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::{DelayedCall, Result, report_error};

use crate::address::Address;
use crate::client::connect_error::ConnectError;
use crate::client::connector::Connector;
use crate::factory::{ClientFactory, Factory};
use crate::protocol::Protocol;
use crate::reason::Reason;

/// Wraps a factory so that a failed or lost connection is made again, after increasing delays.
///
/// The first delay is 1 s; each further one is 2.718 times longer, up to 1 hour, and varied at random by up to 11.96 % either
/// way, so that the clients of a restarted server do not all return at once. Call [`Backoff::reset_delay`] once a connection has
/// proved good. (In Twisted jitter may exceed the maximum delay, and before 26.4 the first delay was 2.7 s.)
///
/// # Examples
/// ```no_run
/// use std::time::Duration;
/// use torsade::{prelude::*, wire::Discard};
///
/// let reactor = Reactor::new()?;
/// let factory = ReconnectingClientFactory::new(|_peer| Discard).max_delay(Duration::from_secs(60)).max_retries(10);
/// let backoff = factory.backoff(); // keep it, to reset the delay or end the retries
/// reactor.connect_tcp("example.com:9", factory)?;
/// reactor.call_later(Duration::from_secs(3600), move || backoff.stop_trying());
/// reactor.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ReconnectingClientFactory<F> {
    inner: F,
    backoff: Backoff,
    initial_delay: Duration,
    max_delay: Duration,
    factor: f64,
    jitter: f64,
    max_retries: Option<u32>,
}

/// The retry state of a [`ReconnectingClientFactory`], for the application to control; a cheap handle.
#[derive(Clone)]
pub struct Backoff(Rc<BackoffState>);

struct BackoffState {
    retries: Cell<u32>,
    stopped: Cell<bool>,
    waiting: RefCell<Option<DelayedCall>>,
    connector: RefCell<Option<Connector>>,
}

impl<F: ClientFactory> ReconnectingClientFactory<F> {
    /// Wraps `inner`. Its hooks are still called.
    #[must_use]
    pub fn new(inner: F) -> Self {
        Self::with_backoff(|_| inner)
    }

    /// Wraps the factory that `make` returns. `make` is given the [`Backoff`], to pass on to the protocols it will build.
    ///
    /// # Examples
    /// ```
    /// use torsade::{Backoff, prelude::*};
    ///
    /// struct Client(Backoff);
    ///
    /// impl LineProtocol for Client {
    ///     fn line_received(&mut self, _: &LineTransport, line: &[u8]) -> Result {
    ///         if line == b"welcome" {
    ///             self.0.reset_delay();
    ///         }
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let factory = ReconnectingClientFactory::with_backoff(|backoff| move |_peer| LineReceiver::new(Client(backoff.clone())));
    /// assert_eq!(factory.backoff().retries(), 0);
    /// ```
    #[must_use]
    pub fn with_backoff(make: impl FnOnce(Backoff) -> F) -> Self {
        let state = BackoffState {
            retries: Cell::new(0),
            stopped: Cell::new(false),
            waiting: RefCell::default(),
            connector: RefCell::default(),
        };
        let backoff = Backoff(Rc::new(state));
        Self {
            inner: make(backoff.clone()),
            backoff,
            initial_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(3600),
            factor: std::f64::consts::E,
            jitter: 0.119_626_565_582,
            max_retries: None,
        }
    }

    /// Sets the first delay; default 1 s.
    #[doc(alias = "initialDelay")]
    #[must_use]
    pub fn initial_delay(mut self, delay: Duration) -> Self {
        self.initial_delay = delay;
        self
    }

    /// Sets the maximum delay; default 1 hour. Jitter does not exceed it.
    #[doc(alias = "maxDelay")]
    #[must_use]
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// Sets the factor by which each delay is longer than the one before; default 2.718. Values below 1 count as 1.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor.max(1.0);
        self
    }

    /// Sets the fraction by which a delay is varied, from 0 to 1; default 0.1196.
    #[must_use]
    pub fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter.clamp(0.0, 1.0);
        self
    }

    /// Gives up after this many attempts in a row; default no limit.
    #[doc(alias = "maxRetries")]
    #[must_use]
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = Some(retries);
        self
    }

    /// The handle with which the application resets the delay or ends the retries.
    #[must_use]
    pub fn backoff(&self) -> Backoff {
        self.backoff.clone()
    }

    fn retry(&self, connector: &Connector) {
        let state = &self.backoff.0;
        if state.stopped.get() || connector.reactor().is_stopping() {
            return;
        }
        let retries = state.retries.get();
        if self.max_retries.is_some_and(|max| retries >= max) {
            let destination = connector.destination();
            report_error("connect", format_args!("giving up on {destination} after {retries} retries: no more attempts"));
            return;
        }
        state.retries.set(retries.saturating_add(1));
        let delay = self.delay(retries, connector.reactor().random());
        log::warn!("connecting to {} again in {delay:?}", connector.destination());
        let again = connector.clone();
        let call = connector.reactor().call_later(delay, move || {
            // On an error the application has already connected by itself, which is fine.
            if let Err(error) = again.connect() {
                log::debug!("not connecting again: {error}");
            }
        });
        state.waiting.replace(Some(call));
    }

    /// The delay before the next retry, given the number of retries so far; varied by `random`.
    fn delay(&self, retries: u32, random: u64) -> Duration {
        let exponent = i32::try_from(retries).unwrap_or(i32::MAX);
        // Clamped, because infinity times a first delay of zero is not a number.
        let times = self.factor.powi(exponent).min(f64::MAX);
        let plain = (self.initial_delay.as_secs_f64() * times).min(self.max_delay.as_secs_f64());
        // Uniform from -1 to 1.
        #[expect(clippy::cast_precision_loss, reason = "chance needs no exactness")]
        let varied = 2.0 * (random as f64 / u64::MAX as f64) - 1.0;
        Duration::try_from_secs_f64(plain * (1.0 + self.jitter * varied)).unwrap_or(self.max_delay).min(self.max_delay)
    }
}

impl Backoff {
    /// Makes the next delay the initial one again. Call this once a connection has proved good.
    #[doc(alias = "resetDelay")]
    pub fn reset_delay(&self) {
        self.0.retries.set(0);
    }

    /// Ends the retries, including an attempt or delay under way. An established connection stays open.
    #[doc(alias = "stopTrying")]
    pub fn stop_trying(&self) {
        self.0.stopped.set(true);
        if let Some(waiting) = self.0.waiting.take().filter(DelayedCall::active) {
            let cancelled = waiting.cancel();
            debug_assert!(cancelled.is_ok(), "it was active");
        }
        let connector = self.0.connector.take();
        if let Some(connector) = connector {
            // On an error nothing was being connected, which is fine.
            connector.stop_connecting().ok();
        }
    }

    /// The number of retries since the last reset.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.0.retries.get()
    }
}

impl<F: ClientFactory> Factory for ReconnectingClientFactory<F> {
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        self.inner.build_protocol(peer)
    }

    fn stop_factory(&mut self) {
        // The connector owns this factory: keeping the connector would make a cycle.
        self.backoff.0.connector.take();
        self.inner.stop_factory();
    }

    fn wrapped(&mut self) -> Option<&mut dyn Factory> {
        Some(&mut self.inner)
    }
}

impl<F: ClientFactory> ClientFactory for ReconnectingClientFactory<F> {
    fn started_connecting(&mut self, connector: &Connector) -> Result {
        self.backoff.0.connector.replace(Some(connector.clone()));
        if self.backoff.0.stopped.get() {
            // Stopped before the attempt began.
            connector.stop_connecting().ok();
        }
        self.inner.started_connecting(connector)
    }

    fn client_connection_failed(&mut self, connector: &Connector, reason: &ConnectError) -> Result {
        self.retry(connector);
        self.inner.client_connection_failed(connector, reason)
    }

    fn client_connection_lost(&mut self, connector: &Connector, reason: &Reason) -> Result {
        self.retry(connector);
        self.inner.client_connection_lost(connector, reason)
    }

    fn wrapped_client(&mut self) -> Option<&mut dyn ClientFactory> {
        Some(&mut self.inner)
    }
}

impl<F> fmt::Debug for ReconnectingClientFactory<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReconnectingClientFactory").field("backoff", &self.backoff).finish_non_exhaustive()
    }
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backoff")
            .field("retries", &self.0.retries.get())
            .field("stopped", &self.0.stopped.get())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Transport;

    struct Nothing;

    impl Protocol for Nothing {
        fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
            Ok(())
        }
    }

    #[test]
    fn waits_grow_from_the_first_to_the_longest() {
        let factory = ReconnectingClientFactory::new(|_| Nothing).jitter(0.0).max_delay(Duration::from_secs(30));
        let seconds: Vec<u64> = (0..6).map(|retries| factory.delay(retries, 7).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 7, 20, 30, 30]);
    }

    #[test]
    fn a_wait_of_nothing_stays_one_however_often_it_grows() {
        let factory = ReconnectingClientFactory::new(|_| Nothing).initial_delay(Duration::ZERO);
        assert_eq!(factory.delay(1_000_000, 7), Duration::ZERO);
    }

    #[test]
    fn jitter_goes_both_ways_and_never_above_the_longest_wait() {
        let factory = ReconnectingClientFactory::new(|_| Nothing).jitter(0.5).max_delay(Duration::from_secs(10));
        assert_eq!(factory.delay(0, 0), Duration::from_millis(500));
        assert_eq!(factory.delay(0, u64::MAX), Duration::from_millis(1500));
        assert_eq!(factory.delay(u32::MAX, u64::MAX), Duration::from_secs(10));
    }
}
