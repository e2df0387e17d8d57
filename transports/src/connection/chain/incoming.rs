//! The way in: what was read from the wire goes through all layers to the protocol.

use std::time::Duration;

use torsade_protocols::spi::Work;
use torsade_protocols::{CompressionError, Decompression, Reason};

use super::Chain;
use super::stage::Stage;
use crate::compression::CompressionLayer;
use crate::connection::shared::READ_SIZE;

impl Chain {
    /// Whether incoming bytes need not pass through the chain: nothing is held, and every layer lets them pass.
    pub(crate) fn reads_directly(&self) -> bool {
        self.unread.is_empty() && self.stages.iter().all(|stage| !stage.has_input() && stage.layer.get().reads_directly())
    }

    /// Counts bytes that did not pass through the chain.
    pub(crate) fn passed_in(&mut self, bytes: u64) {
        if let Some(layer) = self.compression_mut() {
            layer.passed_in(bytes);
        }
    }

    /// Whether there is input here that can be processed without reading the socket; if no data is `wanted`, only input of a
    /// layer whose handshake is under way.
    pub(crate) fn holds_input(&self, wanted: bool) -> bool {
        match self.handshaking_level() {
            Some(level) if !wanted => self.stages.iter().skip(level).any(Stage::has_input),
            _ => !self.unread.is_empty() || self.stages.iter().any(Stage::has_input),
        }
    }

    /// Takes bytes that were read and appends to `plain` what is to be delivered: at most one buffer, for at most
    /// `work`; the rest waits here.
    ///
    /// While [`has_input`](Self::has_input) is true, call it without new bytes.
    pub(crate) fn read(&mut self, wire: &[u8], plain: &mut Vec<u8>, work: &Work, now: Duration) -> Result<(), Reason> {
        if !self.unread.is_empty() {
            plain.extend(self.unread.drain(..self.unread.len().min(READ_SIZE)));
            if self.unread.is_empty() {
                self.unread = Vec::new();
            }
            if let Some(last) = self.stages.last_mut() {
                last.held.extend_from_slice(wire);
            } else {
                self.unread.extend_from_slice(wire);
            }
            return Ok(());
        }
        pull(&mut self.stages, wire, plain, work, now)
    }

    /// Takes bytes that were read, and continues the handshake. Delivers nothing.
    pub(crate) fn handshake(&mut self, wire: &[u8], work: &Work, now: Duration) -> Result<(), Reason> {
        let Some(level) = self.handshaking_level() else { return Ok(()) };
        let (above, below) = self.stages.split_at_mut(level + 1);
        let Some(stage) = above.last_mut() else { return Ok(()) };
        let pulled = pull(below, wire, &mut stage.held, work, now);
        stage.read_held(&mut Vec::new(), 0, work, now)?;
        pulled
    }

    /// Whether a layer has to read before anything else can happen.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.handshaking_level().is_some()
    }

    /// The layer whose handshake is under way; of several the lowest, for which the others wait.
    fn handshaking_level(&self) -> Option<usize> {
        self.stages.iter().rposition(|stage| stage.layer.get().is_handshaking())
    }

    /// Whether a handshake was completed since the last call.
    pub(crate) fn take_handshake_completed(&mut self) -> bool {
        #[cfg(feature = "tls")]
        if let Some(layer) = self.tls_mut() {
            return layer.take_completed();
        }
        false
    }

    /// Whether the peer has ended the stream of a layer, even if not the wire.
    pub(crate) fn has_ended(&self) -> bool {
        self.stages.iter().any(|stage| stage.layer.get().has_ended())
    }

    /// Passes the end of the wire to the next layer, when nothing is held; returns whether that was the last one.
    pub(crate) fn read_end(&mut self, plain: &mut Vec<u8>) -> Result<bool, Reason> {
        let Some(level) = self.stages.iter().rposition(|stage| !stage.ended) else { return Ok(true) };
        let (above, below) = self.stages.split_at_mut(level);
        let Some(stage) = below.first_mut() else { return Ok(true) };
        stage.ended = true;
        match above.last_mut() {
            Some(upper) => stage.layer.get_mut().read_end(&mut upper.held)?,
            None => stage.layer.get_mut().read_end(plain)?,
        }
        Ok(level == 0)
    }

    /// Takes back bytes that are to be delivered to the protocol again, before all others.
    pub(crate) fn unread(&mut self, plain: &[u8]) {
        self.unread.splice(..0, plain.iter().copied());
    }

    /// How many bytes wait to be delivered before all others.
    pub(crate) const fn unread_len(&self) -> usize {
        self.unread.len()
    }

    /// Decompresses what comes next, beginning with `rest`; the compression layer is on.
    pub(crate) fn expect_compression(&mut self, options: &Decompression, rest: &[u8]) -> Result<(), CompressionError> {
        for stage in &mut self.stages {
            if let Some(layer) = stage.compression_mut() {
                layer.expect(options, rest)?;
                // It now has input to decode. It also gets the end again, since the stream may begin with what the end released.
                stage.more = true;
                stage.ended = false;
            }
        }
        Ok(())
    }

    /// Takes the bytes that followed the end of the incoming compressed stream.
    pub(crate) fn take_trailing(&mut self) -> Vec<u8> {
        self.compression_mut().map_or_else(Vec::new, CompressionLayer::take_trailing)
    }

    /// Whether delivered bytes are not decompressed.
    pub(crate) fn passes_plain(&self) -> bool {
        self.compression().is_none_or(CompressionLayer::passes_plain)
    }

    /// Drops held input and the decoder, since no more input is wanted.
    pub(crate) fn drop_input(&mut self) {
        self.unread = Vec::new();
        for stage in &mut self.stages {
            stage.drop_held();
            stage.more = false;
        }
        if let Some(layer) = self.compression_mut() {
            layer.drop_input();
        }
    }

    /// Restarts the hold-back time of an announcement's beginning, since unread input may contain the rest.
    pub(crate) fn hold_on(&mut self, now: Duration) {
        if let Some(layer) = self.compression_mut() {
            layer.hold_on(now);
        }
    }
}

/// Gets one buffer of output from the first of `stages`, which gets input from those below only when it has none left.
fn pull(stages: &mut [Stage], wire: &[u8], plain: &mut Vec<u8>, work: &Work, now: Duration) -> Result<(), Reason> {
    let Some((stage, below)) = stages.split_first_mut() else {
        plain.extend_from_slice(wire);
        return Ok(());
    };
    let starved = !stage.holds() && !stage.more;
    if below.is_empty() && starved {
        // The common case: the layer reads from the socket's buffer, and nothing is copied.
        let progress = stage.layer.get_mut().read(wire, plain, READ_SIZE, work, now)?;
        stage.more = progress.more;
        stage.held.extend_from_slice(wire.get(progress.consumed..).unwrap_or_default());
        return Ok(());
    }
    let mut pulled = Ok(());
    if below.is_empty() {
        stage.held.extend_from_slice(wire);
    } else if starved {
        pulled = pull(below, wire, &mut stage.held, work, now);
    } else if let Some(last) = below.last_mut() {
        last.held.extend_from_slice(wire);
    }
    // Even after an error below: what was output before it is valid.
    stage.read_held(plain, READ_SIZE, work, now)?;
    pulled
}
