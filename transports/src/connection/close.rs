//! The end of a connection: in order, by a deadline, or at once.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::{CompressionStats, Deadline, Reason, TlsError};
use torsade_reactor::report_error;
use torsade_reactor::spi::{Source, Stream, catch, drop_quietly};

use crate::connection::chain::Chain;

use super::StreamConnection;
use super::lingering::Lingering;
use super::progress::Progress;
use super::state::{RegisteredProducer, State};

impl StreamConnection {
    /// An error in a callback: logs it, and closes gracefully. A producer has no more say in when that is.
    pub(super) fn fail(&self, callback: &'static str, reason: Reason) {
        report_fault(callback, self.id, &self.peer, &reason);
        let producer = {
            let mut state = self.state.borrow_mut();
            state.begin_failed_close(reason.clone());
            state.rare().producer.take()
        };
        self.stop_producer(producer);
        // The last of it, if there was a cause before.
        drop_quietly("an error", reason);
    }

    /// Tells a producer that nothing more is wanted. Called from the loop only.
    pub(super) fn stop_producer(&self, registered: Option<RegisteredProducer>) {
        let Some(registered) = registered else { return };
        // It is dropped in there as well.
        if let Err(panic) = catch(move || registered.producer.borrow_mut().stop_producing()) {
            report_error("stop_producing", format_args!("connection {}: stopping its producer {panic}", self.id));
        }
    }

    /// Takes the close as far as it can go now.
    pub(super) fn advance_close(self: &Rc<Self>) {
        let doom = self.state.borrow_mut().take_doom();
        if let Some(reason) = doom {
            self.lose(&reason);
            return;
        }
        self.end_writing();
        let over = {
            let mut state = self.state.borrow_mut();
            // The callback that was told of our stream's end may have aborted. If not, nothing is left to write, and once the
            // peer's end was seen there is nothing to wait for.
            state.take_doom().or_else(|| state.has_ended().then(|| state.close_reason()))
        };
        if let Some(reason) = over {
            self.lose(&reason);
        } else {
            self.arm_close_timer();
        }
    }

    /// Ends our stream if that was asked for and everything is out.
    fn end_writing(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        if state.lost || state.write_ended || !state.wants_write_end() {
            return;
        }
        if !state.finished {
            self.write_through(&mut state, Chain::finish);
            state.finished = true;
            state.deaf = true;
            drop(state);
            self.flush();
            state = self.state.borrow_mut();
        }
        #[cfg(feature = "tls")]
        if state.is_closing()
            && let Some(layer) = state.chain.as_mut().and_then(|chain| chain.tls_mut())
        {
            layer.give_up_pointless_handshake();
            // What waited for it is dropped: a producer that was paused for that goes on.
            state.note_congestion();
        }
        if state.unsent() > 0 {
            return;
        }
        state.write_ended = true;
        // The peer may have a reset on its way: reading will find it. Where the socket itself has ended it is closed now, which
        // says it all; a layer's end alone is not that.
        if !state.socket_ended
            && let Some(stream) = &state.stream
            && let Err(error) = stream.shutdown_write()
        {
            log::debug!("connection {}: ending our stream failed: {error}", self.id);
        }
        let now = self.shared.reactor.now();
        state.hint_at_acknowledgement(now);
        let told = state.half_closing && !state.is_closing() && !state.has_failed_writing();
        drop(state);
        if told {
            self.call("write_connection_lost", None, |protocol, transport| protocol.write_connection_lost(transport));
            // What the callback asked for, a close perhaps, is due now.
            self.wake(&self.state.borrow());
        }
    }

    /// A close has begun that waits for the peer: looks after it from time to time.
    fn arm_close_timer(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        if state.lost || !state.is_closing() || state.rare().close_timer.is_some() {
            return;
        }
        let now = self.shared.reactor.now();
        if state.rare().progress.is_none() {
            state.rare().progress = Some(Progress::new(now));
            if state.write_ended {
                state.hint_at_acknowledgement(now);
            }
        }
        let delay = state.next_look(now);
        let connection = Rc::downgrade(self);
        let timer = self.shared.reactor.call_later(delay, move || {
            if let Some(connection) = connection.upgrade() {
                connection.shared.reactor.call_for(connection.token.get(), || connection.look_after_peer());
            }
        });
        state.rare().close_timer = Some(timer);
    }

    /// Ends the close if the peer has everything, or takes nothing for too long.
    fn look_after_peer(self: &Rc<Self>) {
        {
            let mut state = self.state.borrow_mut();
            state.rare().close_timer = None;
            // The system tells of room only once a third of a full buffer is free. A slow peer may have made some.
            state.writable = true;
        }
        self.flush();
        let reason = self.state.borrow_mut().close_so_far(self.shared.reactor.now());
        match reason {
            Some(reason) => self.lose(&reason),
            None => self.settle(),
        }
    }

    /// Ends the connection now: closes the socket, and calls `connection_lost`. Called from the loop only.
    ///
    /// If it was being closed for a cause, that cause stays the reason: how the end came about then is of less interest.
    pub(super) fn lose(self: &Rc<Self>, reason: &Reason) {
        let mut state = self.state.borrow_mut();
        if std::mem::replace(&mut state.lost, true) {
            return;
        }
        state.deaf = true;
        let unsent = state.output.len();
        state.output.clear(&self.shared);
        let lingering = self.end_socket(&mut state, unsent > 0 || breaks_off(reason));
        let sent = state.bytes_sent;
        let mut rare = state.take_rare();
        let layer_timer = state.chain.as_mut().and_then(|chain| chain.timer.take());
        let cause = rare.closing.take().filter(|cause| !cause.is_clean());
        let reason = cause.as_ref().unwrap_or(reason);
        let stats = state.end_layers();
        let (bytes_in, bytes_out) = (state.bytes_in, state.bytes_out);
        drop(state);
        match lingering {
            Some(stream) => {
                let name = (self.token.get(), self.id, self.describe());
                Lingering::begin(&self.shared, name, stream, sent, rare.close_timeout);
            }
            None => self.shared.reactor.remove_source(self.token.get()),
        }
        for timer in [rare.close_timer.take(), layer_timer].into_iter().flatten() {
            // One of them may be what is running now.
            timer.cancel().ok();
        }
        let stats = stats.map_or_else(String::new, |stats| format!("; compression {stats}"));
        log_end(self.id, &self.peer, reason, format_args!("; {bytes_in} bytes in, {bytes_out} out, {unsent} unsent{stats}"));
        rare.consumers.leave();
        self.stop_producer(rare.producer.take());
        self.call_connection_lost(reason);
        if let Some(tasks) = rare.tasks.take() {
            tasks.cancel();
        }
        if let Some(on_lost) = rare.on_lost.take()
            && let Err(panic) = catch(|| on_lost(reason))
        {
            report_error("drop", format_args!("connection {}: what it has left behind {panic}", self.id));
        }
        drop_quietly("an error", cause);
    }

    /// Closes the socket, with a reset if this `breaks_off`; gives it back if it is to outlive the connection instead.
    fn end_socket(&self, state: &mut State, breaks_off: bool) -> Option<Box<dyn Stream>> {
        let stream = state.stream.take()?;
        if breaks_off && let Err(error) = stream.reset_on_close() {
            log::debug!("connection {}: the peer will not see a reset: {error}", self.id);
        }
        // After the socket's own end nothing can come in that closing it would answer with a reset.
        let lingers = state.write_ended && !state.socket_ended && !breaks_off && !self.shared.reactor.is_stopping();
        lingers.then_some(stream)
    }

    fn call_connection_lost(self: &Rc<Self>, reason: &Reason) {
        // Taken out and dropped afterwards: the protocol may hold this connection, which would keep both alive.
        let Some(mut protocol) = self.protocol.take() else { return };
        let transport = self.transport();
        self.shared.reactor.note_callback("connection_lost");
        self.observe("connection_lost", |event| event.with_reason(reason.kind()));
        let failed = match catch(|| protocol.connection_lost(&transport, reason)) {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(Reason::Protocol(error.into())),
            Err(panic) => Some(Reason::Panicked(panic)),
        };
        if let Some(failed) = failed {
            report_fault("connection_lost", self.id, &self.peer, &failed);
            // Its factory is still to be told.
            drop_quietly("an error", failed);
        }
        drop_quietly("a protocol", protocol);
    }
}

/// What the peer has must not look like all there is, also where a layer keeps the rest, or a producer has it.
const fn breaks_off(reason: &Reason) -> bool {
    matches!(reason, Reason::ConnectionAborted | Reason::LimitExceeded { .. } | Reason::TimedOut(Deadline::Flush))
}

/// Reports a failure of the user's code when it happens; what else ends a connection is told by [`log_end`].
pub(crate) fn report_fault(callback: &'static str, id: u64, peer: &dyn fmt::Display, reason: &Reason) {
    match reason {
        Reason::Panicked(panic) => report_error(callback, format_args!("connection {id} with {peer}: {callback} {panic}")),
        Reason::Protocol(error) => {
            report_error(callback, format_args!("connection {id} with {peer}: {callback} failed: {error}"))
        }
        _ => {}
    }
}

/// Logs the end of a connection: at `warn` what the peer or the network has broken, at `error` what we have, all else at
/// `debug`. What the user's code has broken was reported before.
pub(crate) fn log_end(id: u64, peer: &dyn fmt::Display, reason: &Reason, rest: impl fmt::Display) {
    let level = match reason {
        Reason::CompressFailed(_) | Reason::Tls(TlsError::Internal(_)) => {
            return report_error(reason.kind(), format_args!("connection {id} with {peer} lost: {reason}{rest}"));
        }
        Reason::Decompress(_) | Reason::LimitExceeded { .. } | Reason::TimedOut(_) | Reason::Tls(_) | Reason::TlsTruncated => {
            log::Level::Warn
        }
        _ => log::Level::Debug,
    };
    if log::log_enabled!(level) {
        // The reason may be a user's error that panics when it is displayed.
        let text = catch(|| reason.to_string()).unwrap_or_else(|panic| format!("{}, whose text {panic}", reason.kind()));
        log::log!(level, "connection {id} with {peer} lost: {text}{rest}");
    }
}

impl State {
    fn take_doom(&mut self) -> Option<Reason> {
        if self.is_doomed() { self.rare().doom.take() } else { None }
    }

    /// Our stream is to end, by half a close or a whole one, and no producer has more to write. Half a close does not wait
    /// for a push producer: it stays with who forwards, and has nothing more when its stream has ended.
    fn wants_write_end(&self) -> bool {
        let Some(rare) = self.rare_if_any() else { return self.half_closing };
        let waited_for = |producer: &RegisteredProducer| !(producer.relayed || self.half_closing && producer.streaming);
        (self.half_closing || rare.closing.is_some()) && (self.finished || !rare.producer.as_ref().is_some_and(waited_for))
    }

    /// Frees the layers; keeps what may still be asked for.
    fn end_layers(&mut self) -> Option<CompressionStats> {
        let mut chain = self.chain.take()?;
        let stats = chain.compression_stats()?;
        let rare = self.rare();
        rare.last_stats = Some(stats.clone());
        rare.last_trailing = chain.take_trailing();
        Some(stats)
    }

    fn close_reason(&self) -> Reason {
        self.rare_if_any().and_then(|rare| rare.closing.clone()).unwrap_or(Reason::ConnectionDone)
    }

    /// The peer may have acknowledged our end: a close that waits for that looks soon.
    pub(super) fn hint_at_acknowledgement(&mut self, now: Duration) {
        let Some(progress) = self.rare.as_mut().and_then(|rare| rare.progress.as_mut()) else { return };
        progress.hint();
        let next = self.next_look(now);
        if let Some(timer) = self.rare_if_any().and_then(|rare| rare.close_timer.as_ref()) {
            // It may have fired in this very turn, and is made anew then.
            timer.reset(next).ok();
        }
    }

    fn next_look(&self, now: Duration) -> Duration {
        self.rare_if_any().map_or(Duration::ZERO, |rare| {
            rare.progress.as_ref().map_or(Duration::ZERO, |progress| progress.next_look(now, rare.close_timeout.flush))
        })
    }

    /// Looks how far the peer is, and says with which reason the close is over, if it is.
    fn close_so_far(&mut self, now: Duration) -> Option<Reason> {
        if self.is_doomed() {
            return None;
        }
        let rare = self.rare.as_mut()?;
        let progress = rare.progress.as_mut()?;
        let left = progress.look(&**self.stream.as_ref()?, self.bytes_sent, now);
        let stuck = progress.is_stuck(now, rare.close_timeout.flush);
        match () {
            () if self.write_ended && left == 0 => Some(self.close_reason()),
            () if stuck && rare.gave_up => Some(self.close_reason()),
            () if stuck => Some(Reason::TimedOut(Deadline::Flush)),
            () => None,
        }
    }
}
