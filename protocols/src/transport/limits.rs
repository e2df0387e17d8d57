//! What bounds a connection.

use std::time::Duration;

use super::Transport;

/// What bounds a [`Connection`](crate::spi::Connection). Each method is the one of the same name on [`Transport`].
pub trait ConnectionLimits {
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
    /// Sets the watermarks of unsent bytes: above `high` the connection is congested, at or below `low` no longer.
    ///
    /// 16 KiB and 64 KiB unless set. Congested, it is not read from and its producer is paused. `low` above `high` is
    /// taken as `high`.
    pub fn set_write_buffer_limits(&self, low: usize, high: usize) {
        self.0.limits().set_write_buffer_limits(low, high);
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
