//! The phases of a connection and of its two streams.
//!
//! There are three state machines, which pass their phases in the listed order and never backwards. They guarantee:
//! `connection_lost` is called once, with the first reason that was a fault, or else with the first reason; from one moment on,
//! before the last bytes are sent, all writes are refused; and the end of each stream is reported once.
//!
//! The connection as a whole, [`Lifecycle`]:
//!
//! | event | `Open` | `Closing` | `Doomed` | `Lost` |
//! |---|---|---|---|---|
//! | [`close`](Lifecycle::close): a close is requested | `Closing` | | | |
//! | [`fail`](Lifecycle::fail): a callback has failed | `Closing` | `Closing`, with this reason unless there was a fault | | |
//! | [`give_up`](Lifecycle::give_up): a layer has failed, and informs the peer | `Closing` | the same | | |
//! | [`doom`](Lifecycle::doom): nothing more can or may be sent | `Doomed` | `Doomed`, with the fault that closed it if there was one | | |
//! | [`lose`](Lifecycle::lose): called from the loop | | | `Lost` | |
//!
//! Our stream, [`Outgoing`]:
//!
//! | event | `Open` | `Ending` | `Finished` | `Ended` | `Failed` |
//! |---|---|---|---|---|---|
//! | [`ask_end`](Outgoing::ask_end): a half-close is requested | `Ending` | | | | |
//! | [`finish`](Outgoing::finish): the layers have ended their streams | `Finished` | `Finished` | | | |
//! | [`end`](Outgoing::end): everything was sent, and our FIN | | | `Ended` | | |
//! | [`fail`](Outgoing::fail): the system has refused to send | `Failed` | `Failed` | `Failed` | `Failed` | |
//! | [`report_failure`](Outgoing::report_failure): the failure is being reported | | | | | `Ended` |
//! | [`be_absent`](Outgoing::be_absent): the connection only reads | `Ended` | `Ended` | `Ended` | `Ended` | `Ended` |
//!
//! The peer's stream, [`Incoming`]:
//!
//! | event | `Open` | `WireEnded` | `Ended` |
//! |---|---|---|---|
//! | [`end_wire`](Incoming::end_wire): nothing more comes from the wire | `WireEnded` | | |
//! | [`end`](Incoming::end): nor from the layers | `Ended` | `Ended` | |
//!
//! In an empty cell the event changes nothing. Independent conditions, such as being paused or congested, are flags of `State`.

use std::time::Duration;

use torsade_protocols::Reason;
use torsade_reactor::DelayedCall;

use super::progress::Progress;

/// The lifecycle of a connection as a whole.
#[derive(Debug, Default)]
pub(super) enum Lifecycle {
    #[default]
    Open,
    /// A graceful close: nothing is delivered any more, and what was written is still sent.
    Closing(Box<Close>),
    /// The loop will lose it at the next opportunity; nothing more is sent.
    Doomed(Box<Doom>),
    /// `connection_lost` has been called, or is being called.
    Lost,
}

/// A graceful close.
#[derive(Debug)]
pub(super) struct Close {
    /// What `connection_lost` will be told.
    reason: Reason,
    /// A layer has failed and informs the peer: the close waits for it only shortly.
    pub(super) gave_up: bool,
    /// The peer's progress, while the close waits for it.
    pub(super) progress: Option<Progress>,
    /// The timer of the next check.
    pub(super) timer: Option<DelayedCall>,
}

/// A decided end.
#[derive(Debug)]
pub(super) struct Doom {
    /// What `connection_lost` will be told.
    pub(super) reason: Reason,
    /// Whether the peer gets a reset, so that what it has does not look complete.
    pub(super) resets: bool,
    pub(super) timer: Option<DelayedCall>,
}

/// The stream from us to the peer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Outgoing {
    #[default]
    Open,
    /// A half-close was requested: our stream ends once what was written is sent.
    Ending,
    /// The layers have ended their streams: nothing can be written any more, but there may be bytes to send.
    Finished,
    /// Our end of stream was sent.
    Ended,
    /// The system has refused to send; `Rare::refusal` has the error. It is not reported before the peer's earlier input was
    /// read.
    Failed,
}

/// The stream from the peer to us.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Incoming {
    #[default]
    Open,
    /// Nothing more comes from the wire, since it or TLS has ended; the layers may still have something.
    WireEnded,
    /// The end was reported to the protocol, or need not be.
    Ended,
}

impl Lifecycle {
    /// Closes gracefully, with this reason unless there is one already.
    pub(super) fn close(&mut self, reason: Reason) {
        if matches!(self, Self::Open) {
            *self = Self::Closing(Box::new(Close { reason, gave_up: false, progress: None, timer: None }));
        }
    }

    /// Closes gracefully for a fault, which becomes the reason even if a close was requested before.
    pub(super) fn fail(&mut self, fault: Reason) {
        match self {
            Self::Closing(close) if close.reason.is_clean() => close.reason = fault,
            _ => self.close(fault),
        }
    }

    /// The same for the fault of a layer, after which the close waits for the peer only shortly.
    pub(super) fn give_up(&mut self, fault: Reason) {
        self.fail(fault);
        if let Self::Closing(close) = self {
            close.gave_up = true;
        }
    }

    /// Ends the connection as soon as the loop can.
    pub(super) fn doom(&mut self, reason: Reason) {
        let resets = reason.breaks_off();
        let doom = match std::mem::take(self) {
            Self::Open => Doom { reason, resets, timer: None },
            Self::Closing(close) => {
                let reason = if close.reason.is_clean() { reason } else { close.reason };
                Doom { reason, resets, timer: close.timer }
            }
            decided => {
                *self = decided;
                return;
            }
        };
        *self = Self::Doomed(Box::new(doom));
    }

    /// Ends the connection, if that is decided; returns what to report.
    pub(super) fn lose(&mut self) -> Option<Box<Doom>> {
        match std::mem::replace(self, Self::Lost) {
            Self::Doomed(doom) => Some(doom),
            other => {
                *self = other;
                None
            }
        }
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// Whether it is being closed from our side, gracefully or not.
    pub(super) const fn is_closing(&self) -> bool {
        matches!(self, Self::Closing(_) | Self::Doomed(_))
    }

    /// Whether it is being closed for a fault or the reactor's stop, not by the protocol.
    pub(super) fn is_cut(&self) -> bool {
        matches!(self, Self::Closing(close) if !close.reason.is_clean())
    }

    pub(super) const fn is_doomed(&self) -> bool {
        matches!(self, Self::Doomed(_))
    }

    pub(super) const fn is_lost(&self) -> bool {
        matches!(self, Self::Lost)
    }

    pub(super) fn close_mut(&mut self) -> Option<&mut Close> {
        if let Self::Closing(close) = self { Some(close) } else { None }
    }

    /// The reason of a connection that ends now.
    pub(super) fn close_reason(&self) -> Reason {
        if let Self::Closing(close) = self { close.reason.clone() } else { Reason::ConnectionDone }
    }
}

impl Close {
    /// Sets the timer of the next check, if there is one.
    pub(super) fn look_in(&self, delay: Duration) {
        if let Some(timer) = &self.timer {
            // It may have fired in this very turn; then it is made anew.
            timer.reset(delay).ok();
        }
    }
}

impl Outgoing {
    /// A half-close is requested.
    pub(super) fn ask_end(&mut self) {
        if matches!(self, Self::Open) {
            *self = Self::Ending;
        }
    }

    /// The layers have ended their streams.
    pub(super) fn finish(&mut self) {
        if self.is_writable() {
            *self = Self::Finished;
        }
    }

    /// Everything was sent, and our FIN.
    pub(super) fn end(&mut self) {
        if matches!(self, Self::Finished) {
            *self = Self::Ended;
        }
    }

    /// The system has refused to send.
    pub(super) const fn fail(&mut self) {
        *self = Self::Failed;
    }

    /// There is no outgoing stream.
    pub(super) const fn be_absent(&mut self) {
        *self = Self::Ended;
    }

    /// The system's refusal is being reported.
    pub(super) const fn report_failure(&mut self) {
        if matches!(self, Self::Failed) {
            *self = Self::Ended;
        }
    }

    /// Whether the protocol may still write.
    pub(super) const fn is_writable(self) -> bool {
        matches!(self, Self::Open | Self::Ending)
    }

    pub(super) const fn is_open(self) -> bool {
        matches!(self, Self::Open)
    }

    pub(super) const fn is_ending(self) -> bool {
        matches!(self, Self::Ending)
    }

    /// Whether nothing more may be written, without a failure.
    pub(super) const fn has_finished(self) -> bool {
        matches!(self, Self::Finished | Self::Ended)
    }

    pub(super) const fn has_ended(self) -> bool {
        matches!(self, Self::Ended)
    }

    pub(super) const fn has_failed(self) -> bool {
        matches!(self, Self::Failed)
    }
}

impl Incoming {
    /// Nothing more comes from the wire.
    pub(super) fn end_wire(&mut self) {
        if *self == Self::Open {
            *self = Self::WireEnded;
        }
    }

    /// The end is reported to the protocol, or need not be.
    pub(super) const fn end(&mut self) {
        *self = Self::Ended;
    }

    pub(super) fn wire_has_ended(self) -> bool {
        self != Self::Open
    }

    pub(super) fn has_ended(self) -> bool {
        self == Self::Ended
    }
}

#[cfg(test)]
mod tests;
