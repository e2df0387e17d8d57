//! The layers that are switched on, in order.

use std::time::Duration;

use torsade_protocols::{CompressionError, CompressionStats, Decompression, Detect, Reason};

use crate::compression::{CompressionLayer, SharedPool};
use crate::layer::Layer;
use crate::shared::READ_SIZE;

/// The byte layers of one connection: from the protocol (the first) to the socket (the last).
///
/// It also holds input that could not be delivered yet: of each layer, and of the protocol.
#[derive(Default)]
pub(crate) struct Chain {
    stages: Vec<Stage>,
    /// Plain bytes that go to the protocol before all others.
    unread: Vec<u8>,
    /// Something was written since the last flush.
    dirty: bool,
    /// How many layers, from the last on, have been told that the wire ended.
    ended: usize,
}

struct Stage {
    layer: CompressionLayer,
    /// Input of this layer that it has not taken yet.
    held: Vec<u8>,
    /// The layer has more to give without input.
    more: bool,
}

impl Chain {
    /// The compression layer, put on top of all others if there is none yet.
    pub(crate) fn compression(&mut self, pool: &SharedPool, plain_in: u64, plain_out: u64) -> &mut CompressionLayer {
        if self.stages.is_empty() {
            let layer = CompressionLayer::new(pool, Detect::Off, plain_in, plain_out);
            self.stages.insert(0, Stage { layer, held: Vec::new(), more: false });
        }
        &mut self.stages[0].layer
    }

    /// Takes the bytes that followed the end of the incoming compressed stream.
    pub(crate) fn take_trailing(&mut self) -> Vec<u8> {
        self.stages.first_mut().map_or_else(Vec::new, |stage| stage.layer.take_trailing())
    }

    /// What compression did, if it was ever on.
    pub(crate) fn compression_stats(&self) -> Option<CompressionStats> {
        let stats = self.stages.first()?.layer.stats();
        (stats.format_in.is_some() || stats.format_out.is_some()).then_some(stats)
    }

    /// Takes plain bytes down to the wire.
    pub(crate) fn write(&mut self, plain: &[u8], wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
        self.dirty = true;
        write_from(&mut self.stages, plain, wire, now)
    }

    /// Makes everything written so far readable for the peer.
    pub(crate) fn flush(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
        if !std::mem::take(&mut self.dirty) {
            return Ok(());
        }
        for level in 0..self.stages.len() {
            self.produce(level, wire, now, |layer, wire| layer.flush(wire, now))?;
        }
        Ok(())
    }

    /// Ends the outgoing stream of every layer.
    pub(crate) fn finish(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
        for level in 0..self.stages.len() {
            self.produce(level, wire, now, |layer, wire| layer.finish(wire))?;
        }
        self.dirty = false;
        Ok(())
    }

    /// Sends at the next flush what the compressor holds, whatever its policy.
    pub(crate) fn flush_compression(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
        if self.stages.is_empty() {
            return Ok(());
        }
        self.dirty = true;
        self.produce(0, wire, now, |layer, wire| layer.force_flush(wire))
    }

    /// Forgets the compressor's history.
    pub(crate) fn compression_barrier(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
        if self.stages.is_empty() {
            return Ok(());
        }
        self.dirty = true;
        self.produce(0, wire, now, |layer, wire| layer.barrier(wire))
    }

    /// Ends the compressed stream; what is written next passes as it is.
    pub(crate) fn end_compression(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
        if self.stages.is_empty() {
            return Ok(());
        }
        self.dirty = true;
        self.produce(0, wire, now, |layer, wire| layer.end_stream(wire))
    }

    /// Lets one layer write, and takes what it wrote through those below it.
    fn produce(
        &mut self,
        level: usize,
        wire: &mut Vec<u8>,
        now: Duration,
        step: impl FnOnce(&mut CompressionLayer, &mut Vec<u8>) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        let (above, below) = self.stages.split_at_mut(level + 1);
        let Some(stage) = above.last_mut() else { return Ok(()) };
        if below.is_empty() {
            return step(&mut stage.layer, wire);
        }
        let mut written = Vec::new();
        step(&mut stage.layer, &mut written)?;
        write_from(below, &written, wire, now)
    }

    /// Incoming bytes need not be shown to the chain: nothing is held, and every layer lets them pass.
    pub(crate) fn reads_directly(&self) -> bool {
        self.unread.is_empty()
            && self.stages.iter().all(|stage| stage.held.is_empty() && !stage.more && stage.layer.reads_directly())
    }

    /// Bytes passed without being shown to the chain.
    pub(crate) fn passed_in(&mut self, bytes: u64) {
        for stage in &mut self.stages {
            stage.layer.passed_in(bytes);
        }
    }

    /// There is input here that can be delivered without reading the socket.
    pub(crate) fn has_input(&self) -> bool {
        !self.unread.is_empty() || self.stages.iter().any(|stage| stage.more || !stage.held.is_empty())
    }

    /// Takes bytes that were read, and appends what is to be delivered to `plain`: at most one buffer, the rest waits.
    ///
    /// Called with no bytes when [`has_input`](Self::has_input) says so, and only then may it be called again.
    pub(crate) fn read(&mut self, wire: &[u8], plain: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
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
        pull(&mut self.stages, wire, plain, now)
    }

    /// The wire has ended and nothing is held: tells the next layer, and whether it was the last one.
    pub(crate) fn read_end(&mut self, plain: &mut Vec<u8>) -> Result<bool, Reason> {
        let Some(level) = self.stages.len().checked_sub(self.ended + 1) else { return Ok(true) };
        self.ended += 1;
        let (above, below) = self.stages.split_at_mut(level);
        let Some(stage) = below.first_mut() else { return Ok(true) };
        match above.last_mut() {
            Some(upper) => stage.layer.read_end(&mut upper.held)?,
            None => stage.layer.read_end(plain)?,
        }
        Ok(level == 0)
    }

    /// Has bytes delivered to the protocol again, before all others.
    pub(crate) fn unread(&mut self, plain: &[u8]) {
        self.unread.splice(..0, plain.iter().copied());
    }

    /// Decompresses what comes in from here on, beginning with `rest`; the compression layer is on.
    pub(crate) fn expect_compression(&mut self, options: &Decompression, rest: &[u8]) -> Result<(), CompressionError> {
        if let Some(stage) = self.stages.first_mut() {
            stage.layer.expect(options, rest)?;
            // It has input of its own now.
            stage.more = true;
        }
        Ok(())
    }

    /// Forgets the input that is held.
    pub(crate) fn drop_input(&mut self) {
        self.unread = Vec::new();
        for stage in &mut self.stages {
            stage.held = Vec::new();
            stage.more = false;
        }
    }

    /// When [`expire`](Self::expire) is to be called.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.stages.iter().filter_map(|stage| stage.layer.deadline()).min()
    }

    /// A layer's deadline has passed: what it held back goes on, on both sides.
    pub(crate) fn expire(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
        for level in 0..self.stages.len() {
            if self.stages[level].layer.deadline().is_none_or(|deadline| deadline > now) {
                continue;
            }
            let mut plain = Vec::new();
            self.produce(level, wire, now, |layer, wire| layer.expire(wire, &mut plain, now))?;
            match level.checked_sub(1).and_then(|upper| self.stages.get_mut(upper)) {
                Some(upper) => upper.held.append(&mut plain),
                None => self.unread.append(&mut plain),
            }
        }
        Ok(())
    }
}

fn write_from(stages: &mut [Stage], plain: &[u8], wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
    match stages {
        [] => wire.extend_from_slice(plain),
        [last] => last.layer.write(plain, wire, now)?,
        [first, below @ ..] => {
            let mut written = Vec::new();
            first.layer.write(plain, &mut written, now)?;
            write_from(below, &written, wire, now)?;
        }
    }
    Ok(())
}

/// Gets one buffer out of the first of `stages`, asking those below for its input only when it has none left.
fn pull(stages: &mut [Stage], wire: &[u8], plain: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
    let Some((stage, below)) = stages.split_first_mut() else {
        plain.extend_from_slice(wire);
        return Ok(());
    };
    let starved = stage.held.is_empty() && !stage.more;
    if below.is_empty() && starved {
        // The common case: what was read goes into the layer without being copied first.
        let progress = stage.layer.read(wire, plain, READ_SIZE, now)?;
        stage.more = progress.more;
        stage.held.extend_from_slice(wire.get(progress.consumed..).unwrap_or_default());
        return Ok(());
    }
    if below.is_empty() {
        stage.held.extend_from_slice(wire);
    } else if starved {
        pull(below, wire, &mut stage.held, now)?;
    } else if let Some(last) = below.last_mut() {
        last.held.extend_from_slice(wire);
    }
    let progress = stage.layer.read(&stage.held, plain, READ_SIZE, now)?;
    stage.more = progress.more;
    stage.held.drain(..progress.consumed);
    if stage.held.is_empty() {
        stage.held = Vec::new();
    }
    Ok(())
}
