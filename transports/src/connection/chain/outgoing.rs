//! The way out: written bytes go through all layers to the wire.

use std::time::Duration;

use torsade_protocols::{Reason, SharedBytes};

use super::Chain;
use super::stage::{AnyLayer, Stage};
use crate::compression::CompressionLayer;

impl Chain {
    /// Passes the pieces of a message through all layers to the wire.
    pub(crate) fn write(&mut self, pieces: &[&[u8]], wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
        self.dirty = true;
        if let Some(layer) = self.compression_mut()
            && pieces.iter().any(|piece| !piece.is_empty())
        {
            layer.count_message();
        }
        pieces.iter().try_for_each(|piece| write_from(&mut self.stages, piece, wire, now))
    }

    /// Passes bytes that are compressed once for many connections through all layers to the wire. The returned bytes are to be
    /// sent next, after `wire`, without a copy.
    pub(crate) fn write_shared(
        &mut self,
        bytes: &SharedBytes,
        wire: &mut Vec<u8>,
        now: Duration,
    ) -> Result<Option<SharedBytes>, Reason> {
        self.dirty = true;
        let Some((Stage { layer: AnyLayer::Compression(layer), .. }, below)) = self.stages.split_first_mut() else {
            return self.write(&[bytes], wire, now).map(|()| None);
        };
        let mut written = Vec::new();
        let before = if below.is_empty() { &mut *wire } else { &mut written };
        match layer.write_shared(bytes, before, now)? {
            None => self.write(&[bytes], wire, now).map(|()| None),
            Some(form) if below.is_empty() => Ok(Some(form)),
            Some(form) => {
                written.extend_from_slice(&form);
                write_from(below, &written, wire, now).map(|()| None)
            }
        }
    }

    /// Makes everything written so far readable for the peer, and sends what layers themselves have to send.
    pub(crate) fn flush(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
        let dirty = std::mem::take(&mut self.dirty);
        for level in 0..self.stages.len() {
            if dirty || self.stages[level].layer.get().wants_flush() {
                self.produce(level, wire, now, |layer, wire| layer.get_mut().flush(wire, now))?;
            }
        }
        Ok(())
    }

    pub(crate) const fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Whether something was written since the last flush, or a layer itself has something to send.
    pub(crate) fn needs_flush(&self) -> bool {
        self.dirty || self.wants_flush()
    }

    /// Whether a layer itself has something to send.
    pub(crate) fn wants_flush(&self) -> bool {
        self.stages.iter().any(|stage| stage.layer.get().wants_flush())
    }

    /// How many written bytes layers hold back until more input comes.
    pub(crate) fn unsent(&self) -> usize {
        self.stages.iter().map(|stage| stage.layer.get().unsent()).sum()
    }

    /// Ends the outgoing stream of every layer.
    pub(crate) fn finish(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
        for level in 0..self.stages.len() {
            self.produce(level, wire, now, |layer, wire| layer.get_mut().finish(wire))?;
        }
        self.dirty = false;
        Ok(())
    }

    /// Ends our stream, but cuts the compressed stream before its end, so that nobody takes it for complete.
    pub(crate) fn break_off(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
        for level in 0..self.stages.len() {
            self.produce(level, wire, now, |layer, wire| match layer {
                AnyLayer::Compression(layer) => layer.break_off(wire, now),
                #[cfg(feature = "tls")]
                AnyLayer::Tls(_) => layer.get_mut().finish(wire),
            })?;
        }
        self.dirty = false;
        Ok(())
    }

    /// Flushes the compressor, whatever its policy.
    pub(crate) fn flush_compression(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
        self.produce_compressed(wire, now, CompressionLayer::force_flush)
    }

    /// Forgets the compressor's history.
    pub(crate) fn compression_barrier(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
        self.produce_compressed(wire, now, CompressionLayer::barrier)
    }

    /// Sets whether the compressor stores later writes.
    pub(crate) fn set_uncompressed(&mut self, on: bool) {
        if let Some(layer) = self.compression_mut() {
            layer.set_uncompressed(on);
        }
    }

    fn produce_compressed(
        &mut self,
        wire: &mut Vec<u8>,
        now: Duration,
        step: impl FnOnce(&mut CompressionLayer, &mut Vec<u8>, Duration) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        self.dirty = true;
        let Some(level) = self.compression_level() else { return Ok(()) };
        self.produce(level, wire, now, |layer, wire| match layer {
            AnyLayer::Compression(layer) => step(layer, wire, now),
            #[cfg(feature = "tls")]
            AnyLayer::Tls(_) => Ok(()),
        })
    }

    /// Ends the compressed stream; what is written next passes unchanged.
    pub(crate) fn end_compression(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
        self.produce_compressed(wire, now, |layer, wire, _| layer.end_stream(wire))
    }

    /// Lets one layer write, and passes its output through the layers below it.
    pub(super) fn produce(
        &mut self,
        level: usize,
        wire: &mut Vec<u8>,
        now: Duration,
        step: impl FnOnce(&mut AnyLayer, &mut Vec<u8>) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        let Some((above, below)) = self.stages.split_at_mut_checked(level + 1) else { return Ok(()) };
        let Some(stage) = above.last_mut() else { return Ok(()) };
        if below.is_empty() {
            return step(&mut stage.layer, wire);
        }
        let mut written = Vec::new();
        step(&mut stage.layer, &mut written)?;
        write_from(below, &written, wire, now)
    }
}

fn write_from(stages: &mut [Stage], plain: &[u8], wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
    match stages {
        [] => wire.extend_from_slice(plain),
        [last] => last.layer.get_mut().write(plain, wire, now)?,
        [first, below @ ..] => {
            let mut written = Vec::new();
            first.layer.get_mut().write(plain, &mut written, now)?;
            write_from(below, &written, wire, now)?;
        }
    }
    Ok(())
}
