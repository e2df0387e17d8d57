//! Where a connection is in its life, and where each of its two streams is.
//!
//! Three machines, whose phases are passed in the order in which they are listed and never backwards. What they guarantee:
//! `connection_lost` is called once, and its reason is the first that was a fault, or else the first there was; what is written
//! is refused from one moment on, which is before the last bytes are sent; and each end of a stream is told once.
//!
//! The whole, [`Life`]:
//!
//! | event | `Open` | `Closing` | `Doomed` | `Lost` |
//! |---|---|---|---|---|
//! | [`close`](Life::close): asked for | `Closing` | | | |
//! | [`fail`](Life::fail): a callback has failed | `Closing` | `Closing`, for this reason unless there was a fault | | |
//! | [`give_up`](Life::give_up): a layer has failed, and tells the peer | `Closing` | the same | | |
//! | [`doom`](Life::doom): nothing more can or may be sent | `Doomed` | `Doomed`, for the fault that closed it if there was one | | |
//! | [`lose`](Life::lose): the loop has come round | | | `Lost` | |
//!
//! Our stream, [`Outgoing`]:
//!
//! | event | `Open` | `Ending` | `Finished` | `Ended` | `Failed` |
//! |---|---|---|---|---|---|
//! | [`ask_end`](Outgoing::ask_end): by half a close | `Ending` | | | | |
//! | [`finish`](Outgoing::finish): the layers have written their last | `Finished` | `Finished` | | | |
//! | [`end`](Outgoing::end): all of it was sent, and our FIN | | | `Ended` | | |
//! | [`fail`](Outgoing::fail): the system has refused to send | `Failed` | `Failed` | `Failed` | `Failed` | |
//! | [`tell_failure`](Outgoing::tell_failure): the connection ends for that | | | | | `Ended` |
//! | [`be_absent`](Outgoing::be_absent): it begins so, where the stream goes one way only | `Ended` | `Ended` | `Ended` | `Ended` | `Ended` |
//!
//! The peer's stream, [`Incoming`]:
//!
//! | event | `Open` | `WireEnded` | `Ended` |
//! |---|---|---|---|
//! | [`end_wire`](Incoming::end_wire): nothing more comes from the wire | `WireEnded` | | |
//! | [`end`](Incoming::end): nor from the layers | `Ended` | `Ended` | |
//!
//! An empty cell is an event that changes nothing. Facts of the moment, such as being paused or congested, are independent
//! of all this, and are flags of `State`.

use std::time::Duration;

use torsade_protocols::Reason;
use torsade_reactor::DelayedCall;

use super::progress::Progress;

/// The life of a connection as a whole.
#[derive(Debug, Default)]
pub(super) enum Life {
    #[default]
    Open,
    /// It is being closed gracefully: nothing is delivered any more, and what was written is still sent.
    Closing(Box<Close>),
    /// It is lost as soon as the loop comes round; nothing more is sent.
    Doomed(Box<Doom>),
    /// `connection_lost` has been called, or is being called.
    Lost,
}

/// A graceful close.
#[derive(Debug)]
pub(super) struct Close {
    /// What `connection_lost` will be told.
    reason: Reason,
    /// A layer has failed and the peer is being told: it is waited for only shortly.
    pub(super) gave_up: bool,
    /// How far the peer is, since it has been waited for.
    pub(super) progress: Option<Progress>,
    /// The next look at that.
    pub(super) timer: Option<DelayedCall>,
}

/// An end that is decided.
#[derive(Debug)]
pub(super) struct Doom {
    /// What `connection_lost` will be told.
    pub(super) reason: Reason,
    /// The peer is to see a reset, so that what it has does not look like all there is.
    pub(super) resets: bool,
    pub(super) timer: Option<DelayedCall>,
}

/// The stream from us to the peer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Outgoing {
    #[default]
    Open,
    /// Half a close was asked for: our stream ends once what was written is sent.
    Ending,
    /// The layers have ended their streams: nothing can be written any more, but there may be bytes to send.
    Finished,
    /// The peer has been sent our end.
    Ended,
    /// The system has refused to send; `Rare::refusal` says how. Nobody has been told: what the peer sent before is read first.
    Failed,
}

/// The stream from the peer to us.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Incoming {
    #[default]
    Open,
    /// Nothing more comes from the wire, by its own end or by TLS's; the layers may still have something.
    WireEnded,
    /// The protocol has been told, or does not want to be.
    Ended,
}

impl Life {
    /// Closes gracefully, for this reason unless there is one.
    pub(super) fn close(&mut self, reason: Reason) {
        if matches!(self, Self::Open) {
            *self = Self::Closing(Box::new(Close { reason, gave_up: false, progress: None, timer: None }));
        }
    }

    /// Closes gracefully for a fault, which is the reason also if a close was asked for before.
    pub(super) fn fail(&mut self, fault: Reason) {
        match self {
            Self::Closing(close) if close.reason.is_clean() => close.reason = fault,
            _ => self.close(fault),
        }
    }

    /// The same for the fault of a layer; from here on it is `Closing` or about to end, and the peer is waited for shortly.
    pub(super) fn give_up(&mut self, fault: Reason) {
        self.fail(fault);
        if let Self::Closing(close) = self {
            close.gave_up = true;
        }
    }

    /// Ends it as soon as the loop comes round.
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

    /// Ends it, if that is decided; what is given back is to be told.
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

    /// It is being closed from our side, gracefully or not.
    pub(super) const fn is_closing(&self) -> bool {
        matches!(self, Self::Closing(_) | Self::Doomed(_))
    }

    /// It is being closed for a fault or the reactor's stop, which the protocol has not asked for.
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

    /// What a connection that ends now was closed for.
    pub(super) fn close_reason(&self) -> Reason {
        if let Self::Closing(close) = self { close.reason.clone() } else { Reason::ConnectionDone }
    }
}

impl Close {
    /// The next look is after so long, if one is due at all.
    pub(super) fn look_in(&self, delay: Duration) {
        if let Some(timer) = &self.timer {
            // It may have fired in this very turn, and is made anew then.
            timer.reset(delay).ok();
        }
    }
}

impl Outgoing {
    /// Half a close is asked for.
    pub(super) fn ask_end(&mut self) {
        if matches!(self, Self::Open) {
            *self = Self::Ending;
        }
    }

    /// The layers have written their last.
    pub(super) fn finish(&mut self) {
        if self.is_writable() {
            *self = Self::Finished;
        }
    }

    /// All of it was sent, and our FIN.
    pub(super) fn end(&mut self) {
        if matches!(self, Self::Finished) {
            *self = Self::Ended;
        }
    }

    /// The system has refused to send.
    pub(super) const fn fail(&mut self) {
        *self = Self::Failed;
    }

    /// There is no stream of ours.
    pub(super) const fn be_absent(&mut self) {
        *self = Self::Ended;
    }

    /// That it has refused is being told.
    pub(super) const fn tell_failure(&mut self) {
        if matches!(self, Self::Failed) {
            *self = Self::Ended;
        }
    }

    /// The protocol may still write.
    pub(super) const fn is_writable(self) -> bool {
        matches!(self, Self::Open | Self::Ending)
    }

    pub(super) const fn is_open(self) -> bool {
        matches!(self, Self::Open)
    }

    pub(super) const fn is_ending(self) -> bool {
        matches!(self, Self::Ending)
    }

    /// Nothing more may be written, and not because that has failed.
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

    /// The protocol is told, or does not want to be.
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
