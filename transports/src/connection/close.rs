//! The end of a connection: gracefully, by a deadline, or at once.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::{Callback, CompressionStats, Deadline, Reason};
use torsade_reactor::report_error;
use torsade_reactor::spi::{Source, Stream, catch, drop_quietly};

use crate::connection::chain::Chain;

use super::draining::fail_waiters;
use super::lingering::Lingering;
use super::phase::Outgoing;
use super::progress::Progress;
use super::state::State;
use super::{StreamConnection, call_out};

impl StreamConnection {
    /// Handles an error in a callback: logs it, and closes gracefully, without waiting for a producer.
    pub(super) fn fail(&self, callback: &'static str, reason: Reason) {
        self.report_fault(callback, &reason);
        let producer = {
            let mut state = self.state.borrow_mut();
            state.lifecycle.fail(reason.clone());
            state.take_producer()
        };
        self.stop_producer(producer);
        // The last reference, if an earlier cause stays the reason.
        drop_quietly("an error", reason);
    }

    /// Advances the close as far as possible now.
    pub(super) fn advance_close(self: &Rc<Self>) {
        if !self.state.borrow().lifecycle.is_doomed() {
            self.end_writing();
            let mut state = self.state.borrow_mut();
            // Nothing is left to write, and nothing to wait for once the peer's end was seen, or if we never write.
            if state.has_ended() || state.lifecycle.is_closing() && state.only_reads() {
                let reason = state.lifecycle.close_reason();
                state.lifecycle.doom(reason);
            }
        }
        // The callback for the end of our stream may have aborted.
        if self.state.borrow().lifecycle.is_doomed() { self.lose() } else { self.arm_close_timer() }
    }

    /// Ends our stream if that was requested and everything is sent.
    fn end_writing(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        if !state.wants_write_end() {
            return;
        }
        if state.outgoing.is_writable() {
            let end = if state.lifecycle.is_cut() { Chain::break_off } else { Chain::finish };
            self.write_through(&mut state, end);
            state.outgoing.finish();
            self.flush(&mut state);
        }
        #[cfg(feature = "tls")]
        if state.lifecycle.is_closing()
            && let Some(layer) = state.chain.as_mut().and_then(|chain| chain.tls_mut())
        {
            layer.give_up_pointless_handshake();
            // What waited to be sent is dropped, so a producer that was paused for it goes on.
            state.update_congestion();
        }
        if state.unsent() > 0 || state.outgoing.has_failed() {
            return;
        }
        state.outgoing.end();
        // This fails after a reset, which reading will find. A socket that itself has ended is closed now, and needs no FIN; the
        // end of a layer alone does not mean that.
        if !state.socket_ended
            && let Some(stream) = &state.stream
            && let Err(error) = stream.shutdown_write()
        {
            log::debug!("connection {}: ending our stream failed: {error}", self.id);
        }
        state.hint_at_acknowledgement(self.shared.reactor.now());
        let is_open = state.lifecycle.is_open();
        drop(state);
        if is_open {
            self.call(Callback::WriteConnectionLost);
            // What the callback asked for, such as a close, is due now.
            self.wake(&self.state.borrow());
        }
    }

    /// Starts the timer of a close that waits for the peer, and checks on it from time to time.
    fn arm_close_timer(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        let (timeout, ended) = (state.close_timeout(), state.outgoing.has_ended());
        let Some(close) = state.lifecycle.close_mut().filter(|close| close.timer.is_none()) else { return };
        let now = self.shared.reactor.now();
        let progress = close.progress.get_or_insert_with(|| Progress::new(now, ended));
        let connection = Rc::downgrade(self);
        close.timer = Some(self.shared.reactor.call_later(progress.next_look(now, timeout.flush), move || {
            if let Some(connection) = connection.upgrade() {
                connection.shared.reactor.call_for(connection.token.get(), |_| connection.look_after_peer());
            }
        }));
    }

    /// Ends the close if the peer has everything, or has taken nothing for too long.
    fn look_after_peer(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        if let Some(close) = state.lifecycle.close_mut() {
            close.timer = None;
        }
        // The system reports room only once a third of a full buffer is free. A slow peer may have made less.
        state.writable = true;
        self.flush(&mut state);
        if let Some(reason) = state.close_so_far(self.shared.reactor.now()) {
            state.lifecycle.doom(reason);
        }
        drop(state);
        self.settle();
    }

    /// Ends a doomed connection now: closes the socket, and calls `connection_lost`. Called from the loop only.
    pub(super) fn lose(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        let Some(doom) = state.lifecycle.lose() else { return };
        let unsent = state.output.len();
        state.output.clear(&self.shared.buffers);
        let lingering = self.end_socket(&mut state, unsent > 0 || doom.resets);
        let sent = state.bytes_sent;
        let mut rare = state.take_rare();
        let layer_timer = state.chain.as_mut().and_then(|chain| chain.timer.take());
        let stats = state.end_layers();
        let (bytes_in, bytes_out) = (state.bytes_in, state.bytes_out);
        drop(state);
        self.shared.buffers.drop_sent();
        match lingering {
            Some(stream) => {
                let name = (self.token.get(), self.id, self.describe());
                Lingering::begin(&self.shared, name, stream, sent, rare.close_timeout);
            }
            None => self.shared.reactor.remove_source(self.token.get()),
        }
        for timer in [doom.timer, layer_timer].into_iter().flatten() {
            // One of them may be what is running now.
            timer.cancel().ok();
        }
        let stats = stats.map_or_else(String::new, |stats| format!("; compression {stats}"));
        self.log_end(&doom.reason, format_args!("; {bytes_in} bytes in, {bytes_out} out, {unsent} unsent{stats}"));
        rare.consumers.leave();
        self.stop_producer(rare.producer.take());
        self.call_connection_lost(&doom.reason);
        fail_waiters(rare.waiters, &doom.reason);
        if let Some(tasks) = rare.tasks.take() {
            tasks.cancel();
        }
        // It never became ready: `on_lost` reports that.
        drop(rare.on_ready.take());
        if let Some(on_lost) = rare.on_lost.take()
            && let Err(panic) = catch(|| on_lost(&doom.reason))
        {
            report_error("drop", format_args!("connection {}: what it left behind {panic}", self.id));
        }
        drop_quietly("an error", doom.reason);
    }

    /// Closes the socket, with a reset if this `breaks_off`; returns it if it is to outlive the connection instead.
    fn end_socket(&self, state: &mut State, breaks_off: bool) -> Option<Box<dyn Stream>> {
        let stream = state.stream.take()?;
        if breaks_off && let Err(error) = stream.reset_on_close() {
            log::debug!("connection {}: the peer will not see a reset: {error}", self.id);
        }
        // After the socket's own end no input can come that a closed socket would answer with a reset.
        let waits = state.outgoing.has_ended() && !state.socket_ended && !breaks_off && !self.shared.reactor.is_stopping();
        (waits && stream.lingers()).then_some(stream)
    }

    fn call_connection_lost(self: &Rc<Self>, reason: &Reason) {
        // Taken out and dropped afterwards: the protocol may hold this connection, which would keep both alive.
        let Some(mut protocol) = self.protocol.take() else { return };
        let transport = self.transport();
        let callback = Callback::ConnectionLost(reason);
        self.shared.reactor.record_callback(callback.name());
        self.observe(callback);
        if let Err(failed) = call_out(|| callback.dispatch(&mut *protocol, &transport)) {
            self.report_fault(callback.name(), &failed);
            // Its factory is still to be told.
            drop_quietly("an error", failed);
        }
        drop_quietly("a protocol", protocol);
    }

    /// Reports a failure of user code when it happens; [`Self::log_end`] logs all other reasons.
    fn report_fault(&self, callback: &'static str, reason: &Reason) {
        let name = self.describe();
        match reason {
            Reason::Panicked(panic) => report_error(callback, format_args!("{name}: {callback} {panic}")),
            Reason::Protocol(error) => report_error(callback, format_args!("{name}: {callback} failed: {error}")),
            _ => {}
        }
    }

    /// Logs the end of the connection, at the level of its [reason](Reason::log_level).
    fn log_end(&self, reason: &Reason, rest: fmt::Arguments<'_>) {
        let level = reason.log_level();
        if level == log::Level::Error {
            report_error(reason.kind(), format_args!("{} lost: {reason}{rest}", self.describe()));
        } else if log::log_enabled!(level) {
            // The reason may be a user's error that panics when it is displayed.
            let text = catch(|| reason.to_string()).unwrap_or_else(|panic| format!("{}, whose text {panic}", reason.kind()));
            log::log!(level, "{} lost: {text}{rest}", self.describe());
        }
    }
}

impl State {
    /// Whether our stream is to end, by a half-close or a close, and no producer has more to write.
    fn wants_write_end(&self) -> bool {
        match self.outgoing {
            Outgoing::Open => self.lifecycle.is_closing() && !self.waits_for_producer(),
            Outgoing::Ending => !self.waits_for_producer(),
            Outgoing::Finished => true,
            Outgoing::Ended | Outgoing::Failed => false,
        }
    }

    /// Frees the layers; keeps the statistics, which may still be asked for.
    fn end_layers(&mut self) -> Option<CompressionStats> {
        let mut chain = self.chain.take()?;
        let stats = chain.compression_stats()?;
        let rare = self.rare();
        rare.last_stats = Some(stats.clone());
        rare.last_trailing = chain.take_trailing();
        Some(stats)
    }

    /// The peer may have acknowledged our end: a close that waits for that checks soon. Further hints do not put the check off.
    pub(super) fn hint_at_acknowledgement(&mut self, now: Duration) {
        let patience = self.close_timeout().flush;
        if let Some(close) = self.lifecycle.close_mut()
            && let Some(progress) = &mut close.progress
            && progress.hint()
        {
            let next = progress.next_look(now, patience);
            close.look_in(next);
        }
    }

    /// Checks how much the peer has acknowledged, and returns the reason if the close is over.
    fn close_so_far(&mut self, now: Duration) -> Option<Reason> {
        let patience = self.close_timeout().flush;
        let close = self.lifecycle.close_mut()?;
        let progress = close.progress.as_mut()?;
        let left = progress.look(&**self.stream.as_ref()?, self.bytes_sent, now);
        let stuck = progress.is_stuck(now, patience);
        if self.outgoing.has_ended() && left == 0 || stuck && close.gave_up {
            return Some(self.lifecycle.close_reason());
        }
        stuck.then_some(Reason::TimedOut(Deadline::Flush))
    }
}
