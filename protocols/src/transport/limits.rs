//! What bounds a connection.

use std::time::Duration;

use torsade_reactor::Deferred;

use super::Transport;

/// What bounds a [`Connection`](crate::spi::Connection). Each method is the one of the same name on [`Transport`].
pub trait ConnectionLimits {
    /// The watermarks of unsent bytes, low and high.
    fn write_buffer_limits(&self) -> (usize, usize);

    /// Whether unsent bytes have reached the high watermark and have not come down to the low one.
    fn is_congested(&self) -> bool;

    /// Fires once at most so many bytes are unsent, at once if that is so now; fails with the [`Reason`](crate::Reason) if the
    /// connection is lost before. Only from the loop, never from inside a method of the transport.
    fn when_unsent(&self, at_most: usize) -> Deferred<()>;

    /// Sends what can be sent now, and says whether that is all. Calls no code of the program's.
    fn flush(&self) -> bool;

    /// Sets the watermarks of unsent bytes.
    fn set_write_buffer_limits(&self, low: usize, high: usize);

    /// Sets how many unsent bytes end the connection.
    fn set_write_buffer_cap(&self, cap: usize);

    /// Reads even while our own output is above the high watermark.
    fn set_read_while_congested(&self, on: bool);

    /// Sets how long a close waits for the peer.
    fn set_close_timeout(&self, timeout: Duration);
}

/// # Limits
/// What bounds this connection, each with a safe default; `manual::limits` of the `torsade` crate lists them all.
impl Transport {
    /// Sets the watermarks of unsent bytes: from `high` on the connection is congested, at or below `low` no longer.
    ///
    /// 16 KiB and 64 KiB unless set. Congested, it is not read from and its producer is paused. `low` is taken as below `high`,
    /// and a `high` of 0 as 1.
    pub fn set_write_buffer_limits(&self, low: usize, high: usize) {
        self.0.limits().set_write_buffer_limits(low, high);
    }

    /// The watermarks of unsent bytes, low and high.
    #[doc(alias = "get_write_buffer_limits")]
    #[must_use]
    pub fn write_buffer_limits(&self) -> (usize, usize) {
        self.0.limits().write_buffer_limits()
    }

    /// Whether unsent bytes have reached the high watermark and have not come down to the low one since.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.0.limits().is_congested()
    }

    /// Gives a Deferred that fires when there is room to write: at once, or when the output is no longer congested.
    ///
    /// For whoever writes much without being a [`Producer`](crate::Producer); there may be any number beside one. It does not
    /// fire from inside a method of the transport. Loss of the connection is an error, its [`Reason`](crate::Reason).
    ///
    /// # Examples
    /// ```
    /// use torsade::prelude::*;
    ///
    /// /// Sends every part, none before there is room for it.
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

    /// Gives a Deferred that fires when the system has taken all that was written, what is written meanwhile included; at once if
    /// nothing is unsent.
    ///
    /// That the system has it does not mean that the peer has: see [`delivery`](Self::delivery). What a compressor holds back
    /// beyond the end of the turn ([`Flush::Manual`](crate::Flush::Manual), `After`) does not count: call
    /// [`flush_compression`](Self::flush_compression) before. It fails as [`when_writable`](Self::when_writable) does.
    pub fn when_drained(&self) -> Deferred<()> {
        self.0.limits().when_unsent(0)
    }

    /// Hands what was written to the system now, as far as it takes it, and says whether that was all.
    ///
    /// Nothing needs this to be sent: that happens at the end of the callback, or of the turn, and for all that was written by then
    /// together. It is for who waits until it is sent, as [`when_drained`](Self::when_drained) does from there on, and for who is about
    /// to keep the loop busy. What a compressor holds back does not count, as there. A loss is told from the loop.
    pub fn flush(&self) -> bool {
        self.0.limits().flush()
    }

    /// Sets how many unsent bytes end the connection, with `Reason::LimitExceeded`; 16 MiB unless set.
    pub fn set_write_buffer_cap(&self, cap: usize) {
        self.0.limits().set_write_buffer_cap(cap);
    }

    /// Reads even while our own output is above the high watermark; off unless set.
    ///
    /// For peers that both only write before they read. Whoever sets it must bound the output some other way; the cap
    /// stays.
    pub fn set_read_while_congested(&self, on: bool) {
        self.0.limits().set_read_while_congested(on);
    }

    /// Sets how long a close waits for the peer to acknowledge more of what it was sent, and how long the socket then waits
    /// for the peer to end its stream; 120 s and 30 s unless set.
    ///
    /// The first is noticed within an eighth more. Most systems acknowledge in steps as their program reads, of nearly
    /// 100 KB over loopback: a slow reader needs a timeout that is longer than one step.
    pub fn set_close_timeout(&self, timeout: Duration) {
        self.0.limits().set_close_timeout(timeout);
    }
}
