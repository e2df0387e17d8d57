//! The limits of a connection.

use std::time::Duration;

use torsade_reactor::Deferred;

use super::Transport;

/// The limits of a [`Connection`](crate::spi::Connection). Each method implements the one of the same name on [`Transport`].
pub trait ConnectionLimits {
    /// The watermarks of unsent bytes, low and high.
    fn write_buffer_limits(&self) -> (usize, usize);

    /// Returns whether unsent bytes have reached the high watermark and not yet fallen to the low one.
    fn is_congested(&self) -> bool;

    /// Fires once at most `at_most` bytes are unsent, immediately if that is so now; fails with the [`Reason`](crate::Reason) if
    /// the connection is lost first. Fires only from the loop, never from inside a method of the transport.
    fn when_unsent(&self, at_most: usize) -> Deferred<()>;

    /// Sends what can be sent now. Returns whether that is everything. Calls no user code.
    fn flush(&self) -> bool;

    /// Sets the watermarks of unsent bytes.
    fn set_write_buffer_limits(&self, low: usize, high: usize);

    /// Sets the number of unsent bytes above which the connection is aborted.
    fn set_write_buffer_cap(&self, cap: usize);

    /// Sets whether to read even while our own output is above the high watermark.
    fn set_read_while_congested(&self, on: bool);

    /// Sets how long a close waits for the peer.
    fn set_close_timeout(&self, timeout: Duration);
}

/// # Limits
/// The limits of this connection, each with a safe default; `manual::limits` of the `torsade` crate lists them all.
impl Transport {
    /// Sets the watermarks of unsent bytes: at `high` the connection becomes congested, at `low` it stops being so.
    ///
    /// Default 16 KiB and 64 KiB. While congested, it is not read from and its producer is paused. `low` is reduced to below
    /// `high`, and a `high` of 0 counts as 1.
    pub fn set_write_buffer_limits(&self, low: usize, high: usize) {
        self.0.limits().set_write_buffer_limits(low, high);
    }

    /// The watermarks of unsent bytes, low and high.
    #[doc(alias = "get_write_buffer_limits")]
    #[must_use]
    pub fn write_buffer_limits(&self) -> (usize, usize) {
        self.0.limits().write_buffer_limits()
    }

    /// Returns whether unsent bytes have reached the high watermark and not fallen to the low one since.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.0.limits().is_congested()
    }

    /// Returns a Deferred that fires when there is room to write: immediately, or when the output is no longer congested.
    ///
    /// It is for code that writes much without being a [`Producer`](crate::Producer). There may be any number of them, also
    /// beside a producer. It does not fire from inside a method of the transport. If the connection is lost, it fails with the
    /// [`Reason`](crate::Reason).
    ///
    /// # Examples
    /// ```
    /// use torsade::prelude::*;
    ///
    /// /// Sends each part once there is room for it.
    /// fn send(transport: &Transport, parts: Vec<Vec<u8>>) {
    ///     transport.spawn(async move |transport| {
    ///         for part in parts {
    ///             transport.when_writable().await?;
    ///             transport.write(part);
    ///         }
    ///         Ok(())
    ///     });
    /// }
    /// ```
    #[doc(alias = "drain")]
    pub fn when_writable(&self) -> Deferred<()> {
        let limits = self.0.limits();
        limits.when_unsent(if limits.is_congested() { limits.write_buffer_limits().0 } else { usize::MAX })
    }

    /// Returns a Deferred that fires when the system has taken everything written, including what is written meanwhile;
    /// immediately if nothing is unsent.
    ///
    /// The system having taken bytes does not mean the peer has them: see [`delivery`](Self::delivery). What a compressor holds
    /// back beyond the end of the turn ([`Flush::Manual`](crate::Flush::Manual), `After`) does not count: call
    /// [`flush_compression`](Self::flush_compression) first. It fails as [`when_writable`](Self::when_writable) does.
    pub fn when_drained(&self) -> Deferred<()> {
        self.0.limits().when_unsent(0)
    }

    /// Passes what was written to the system now, as far as the system takes it. Returns whether that was everything.
    ///
    /// Calling it is not necessary: everything written in a callback or a turn is sent together at its end. Use it before waiting
    /// for [`when_drained`](Self::when_drained), or before keeping the loop busy. What a compressor holds back does not count, as
    /// there. A loss of the connection is reported from the loop.
    pub fn flush(&self) -> bool {
        self.0.limits().flush()
    }

    /// Sets the number of unsent bytes above which the connection is aborted, with `Reason::LimitExceeded`; default 16 MiB.
    pub fn set_write_buffer_cap(&self, cap: usize) {
        self.0.limits().set_write_buffer_cap(cap);
    }

    /// Sets whether to read even while our own output is above the high watermark; default off.
    ///
    /// For peers that both write everything before they read. Limit the output in some other way then; the cap still applies.
    pub fn set_read_while_congested(&self, on: bool) {
        self.0.limits().set_read_while_congested(on);
    }

    /// Sets how long a close waits for the peer to acknowledge more of what it was sent, and how long the socket then waits for
    /// the peer to end its stream. Defaults: 120 s and 30 s.
    ///
    /// The first expires at most an eighth late. Most systems acknowledge in steps as their program reads, of nearly 100 KB over
    /// loopback: for a slow reader the timeout has to be longer than one step takes.
    pub fn set_close_timeout(&self, timeout: Duration) {
        self.0.limits().set_close_timeout(timeout);
    }
}
