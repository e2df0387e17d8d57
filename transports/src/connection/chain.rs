//! The layers that are switched on.

mod incoming;
mod outgoing;
mod stage;

use std::time::Duration;

#[cfg(feature = "tls")]
use torsade_protocols::StartTlsError;
use torsade_protocols::{CompressionStats, Reason};
use torsade_reactor::DelayedCall;

use crate::compression::CompressionLayer;
#[cfg(feature = "tls")]
use crate::tls::TlsLayer;
use stage::{AnyLayer, Stage};

/// The byte layers of one connection, from the protocol (the first) to the socket (the last), and input that could not be
/// delivered yet. Each layer is found by its kind; [`AnyLayer::rank`] alone decides its place.
///
/// Guaranteed: every byte goes through all layers in their order, whenever they were switched on, and none overtakes
/// another. Inwards, one call produces at most one buffer of plain bytes, and a layer gets input from below only when it has used
/// up its own, so that each holds back a bounded amount. What was produced before an error is delivered before the error. One
/// layer after the other gets the end of the wire, each when nothing is left for it to read.
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

    /// The compression statistics, if compression was ever on.
    pub(crate) fn compression_stats(&self) -> Option<CompressionStats> {
        let stats = self.compression()?.stats();
        (stats.format_in.is_some() || stats.format_out.is_some()).then_some(stats)
    }

    /// Frees a compression layer that has nothing more to do. Returns whether the chain is empty.
    pub(crate) fn drop_spent(&mut self) -> bool {
        self.stages.retain(|stage| stage.has_input() || !stage.compression().is_some_and(CompressionLayer::is_spent));
        self.stages.is_empty() && self.unread.is_empty()
    }

    /// When [`expire`](Self::expire) has to be called.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.stages.iter().filter_map(|stage| stage.layer.get().deadline()).min()
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
    use torsade_protocols::spi::Work;
    use torsade_protocols::{Compression, Decompression, Detect, Truncation};

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

    /// Connections that only looked for compression are no larger than those that did not.
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
