//! The layers that are switched on.

use std::time::Duration;

#[cfg(feature = "tls")]
use torsade_protocols::StartTlsError;
use torsade_protocols::spi::Work;
use torsade_protocols::{CompressionError, CompressionStats, Decompression, Reason, SharedBytes};
use torsade_reactor::DelayedCall;

use super::stage::{AnyLayer, Stage};
use crate::compression::CompressionLayer;
use crate::connection::shared::READ_SIZE;
#[cfg(feature = "tls")]
use crate::tls::TlsLayer;

/// The byte layers of one connection, from the protocol (the first) to the socket (the last), and input that could not be
/// delivered yet. Each layer is found by its kind; [`AnyLayer::rank`] alone decides its place.
///
/// Guaranteed: every byte goes through all layers in their order, whenever they were switched on, and none overtakes
/// another. Inwards, one call produces at most one buffer of plain bytes, and a layer gets input from below only when it has used
/// up its own, so that each holds back a bounded amount. What was produced before an error is delivered before the error. One layer
/// after the other gets the end of the wire, each when nothing is left for it to read.
#[derive(Default)]
pub(crate) struct Chain {
    stages: Vec<Stage>,
    /// Plain bytes to deliver before all others: the protocol gave them back, or they were released above all layers.
    unread: Vec<u8>,
    /// Something was written since the last flush.
    dirty: bool,
    /// The connection's timer for [`deadline`](Self::deadline); here, so that only connections with layers have it.
    pub(crate) timer: Option<DelayedCall>,
}

impl Chain {
    /// Does something with the compression layer, which is made if there is none yet.
    pub(crate) fn with_compression<T>(
        &mut self,
        make: impl FnOnce() -> CompressionLayer,
        act: impl FnOnce(&mut CompressionLayer) -> T,
    ) -> T {
        if let Some(layer) = self.compression_mut() {
            return act(layer);
        }
        let mut layer = make();
        let result = act(&mut layer);
        self.insert(AnyLayer::Compression(Box::new(layer)), Vec::new());
        result
    }

    /// Puts a layer in its place. It reads `held` first.
    fn insert(&mut self, layer: AnyLayer, held: Vec<u8>) {
        let place = self.stages.partition_point(|stage| stage.layer.rank() < layer.rank());
        // Exactly one more: there may be many connections, most of them with only one layer.
        self.stages.reserve_exact(1);
        self.stages.insert(place, Stage::new(layer, held));
    }

    fn compression(&self) -> Option<&CompressionLayer> {
        self.stages.iter().find_map(Stage::compression)
    }

    fn compression_mut(&mut self) -> Option<&mut CompressionLayer> {
        self.stages.iter_mut().find_map(Stage::compression_mut)
    }

    /// The index of the compression layer.
    fn compression_level(&self) -> Option<usize> {
        self.stages.iter().position(|stage| stage.compression().is_some())
    }

    /// Takes the bytes that followed the end of the incoming compressed stream.
    pub(crate) fn take_trailing(&mut self) -> Vec<u8> {
        self.compression_mut().map_or_else(Vec::new, CompressionLayer::take_trailing)
    }

    /// Whether delivered bytes are not decompressed.
    pub(crate) fn passes_plain(&self) -> bool {
        self.compression().is_none_or(CompressionLayer::passes_plain)
    }

    /// The compression statistics, if compression was ever on.
    pub(crate) fn compression_stats(&self) -> Option<CompressionStats> {
        let stats = self.compression()?.stats();
        (stats.format_in.is_some() || stats.format_out.is_some()).then_some(stats)
    }

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
    fn produce(
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

    /// Frees a compression layer that has nothing more to do. Returns whether the chain is empty.
    pub(crate) fn drop_spent(&mut self) -> bool {
        self.stages.retain(|stage| stage.has_input() || !stage.compression().is_some_and(CompressionLayer::is_spent));
        self.stages.is_empty() && self.unread.is_empty()
    }

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

    /// Whether there is input here that can be processed without reading the socket; if no data is `wanted`, only input of a layer
    /// whose handshake is under way.
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

    /// When [`expire`](Self::expire) has to be called.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.stages.iter().filter_map(|stage| stage.layer.get().deadline()).min()
    }

    /// Restarts the hold-back time of an announcement's beginning, since unread input may contain the rest.
    pub(crate) fn hold_on(&mut self, now: Duration) {
        if let Some(layer) = self.compression_mut() {
            layer.hold_on(now);
        }
    }

    /// Handles a layer's deadline: what the layer held back goes on, in both directions.
    pub(crate) fn expire(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
        for level in 0..self.stages.len() {
            if self.stages[level].layer.get().deadline().is_none_or(|deadline| deadline > now) {
                continue;
            }
            let mut plain = Vec::new();
            self.produce(level, wire, now, |layer, wire| layer.get_mut().expire(wire, &mut plain, now))?;
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
        [last] => last.layer.get_mut().write(plain, wire, now)?,
        [first, below @ ..] => {
            let mut written = Vec::new();
            first.layer.get_mut().write(plain, &mut written, now)?;
            write_from(below, &written, wire, now)?;
        }
    }
    Ok(())
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

/// What only TLS needs.
#[cfg(feature = "tls")]
impl Chain {
    /// Whether TLS can be switched on.
    pub(crate) fn check_tls(&self) -> Result<(), StartTlsError> {
        for stage in &self.stages {
            match &stage.layer {
                AnyLayer::Tls(_) => return Err(StartTlsError::AlreadyOn),
                AnyLayer::Compression(layer) if layer.is_on() => return Err(StartTlsError::Compressing),
                AnyLayer::Compression(_) => {}
            }
        }
        Ok(())
    }

    /// How many bytes that were read are held here, by the layers or for the protocol.
    pub(crate) fn held_input(&self) -> usize {
        let held = |stage: &Stage| stage.held_len() + stage.compression().map_or(0, |layer| layer.held_back().len());
        self.unread.len() + self.stages.iter().map(held).sum::<usize>()
    }

    /// Switches TLS on. It reads `rest` first.
    pub(crate) fn insert_tls(&mut self, layer: TlsLayer, rest: &[u8]) {
        self.insert(AnyLayer::Tls(Box::new(layer)), rest.to_vec());
    }

    pub(crate) fn tls(&self) -> Option<&TlsLayer> {
        self.stages.iter().find_map(Stage::tls)
    }

    pub(crate) fn tls_mut(&mut self) -> Option<&mut TlsLayer> {
        self.stages.iter_mut().find_map(Stage::tls_mut)
    }
}

#[cfg(test)]
mod tests {
    use torsade_protocols::{Compression, Detect, Truncation};

    use super::*;
    use crate::compression::EncoderPool;

    fn looking() -> Chain {
        let mut chain = Chain::default();
        chain.with_compression(|| CompressionLayer::new(&EncoderPool::shared(), Detect::AtStart, 0, 0), |_| {});
        chain
    }

    fn read(chain: &mut Chain, wire: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        chain.read(wire, &mut plain, &Work::unlimited(), Duration::ZERO).unwrap();
        plain
    }

    #[test]
    fn a_stream_that_is_expected_when_the_end_has_set_its_first_byte_free_is_cut() {
        let mut chain = looking();
        assert_eq!(read(&mut chain, b"x"), b"");
        let mut plain = Vec::new();
        assert!(chain.read_end(&mut plain).unwrap());
        assert_eq!(plain, b"x");
        let options = Decompression::deflate().truncation(Truncation::Error);
        chain.expect_compression(&options, b"x").unwrap();
        assert_eq!(read(&mut chain, b""), b"");
        assert!(matches!(chain.read_end(&mut plain), Err(Reason::Decompress(_))));
    }

    /// Group 16: connections that only looked for compression are no larger than those that did not.
    #[test]
    fn a_chain_that_has_looked_and_found_nothing_is_spent() {
        let mut chain = looking();
        assert!(!chain.drop_spent(), "nothing has come");
        assert_eq!(read(&mut chain, b"x"), b"");
        assert!(!chain.drop_spent(), "it may become an announcement");
        assert_eq!(read(&mut chain, b"y"), b"xy");
        assert!(chain.drop_spent());
        chain.unread(b"again");
        assert!(!chain.drop_spent(), "something has yet to be delivered");
    }

    #[test]
    fn a_chain_that_compresses_or_has_limits_is_not_spent() {
        let mut compressing = looking();
        compressing.with_compression(|| unreachable!(), |layer| layer.compress(&Compression::deflate())).unwrap();
        let mut limited = looking();
        limited.with_compression(|| unreachable!(), |layer| layer.set_limits(&Decompression::deflate()));
        for mut chain in [compressing, limited] {
            assert_eq!(read(&mut chain, b"plain"), b"plain");
            assert!(!chain.drop_spent());
        }
    }
}
