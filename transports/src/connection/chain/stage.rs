//! One layer of a chain, with its pending input.

use std::time::Duration;

use torsade_protocols::Reason;
use torsade_protocols::spi::Work;

use crate::compression::CompressionLayer;
use crate::layer::Layer;
#[cfg(feature = "tls")]
use crate::tls::TlsLayer;

/// A layer and its input.
pub(super) struct Stage {
    pub(super) layer: AnyLayer,
    /// Input of this layer, which has taken the first `taken` bytes. The rest is moved only when half was taken.
    pub(super) held: Vec<u8>,
    taken: usize,
    /// The layer has more output without input.
    pub(super) more: bool,
    /// It has got the end of its input.
    pub(super) ended: bool,
}

/// The kinds of layers. Those nearer to the protocol come first, whenever they were switched on.
pub(super) enum AnyLayer {
    Compression(Box<CompressionLayer>),
    #[cfg(feature = "tls")]
    Tls(Box<TlsLayer>),
}

impl AnyLayer {
    pub(super) fn get(&self) -> &dyn Layer {
        match self {
            Self::Compression(layer) => &**layer,
            #[cfg(feature = "tls")]
            Self::Tls(layer) => &**layer,
        }
    }

    pub(super) fn get_mut(&mut self) -> &mut dyn Layer {
        match self {
            Self::Compression(layer) => &mut **layer,
            #[cfg(feature = "tls")]
            Self::Tls(layer) => &mut **layer,
        }
    }

    /// Its place in the chain: layers with a lower rank are nearer to the protocol.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::Compression(_) => 0,
            #[cfg(feature = "tls")]
            Self::Tls(_) => 1,
        }
    }
}

impl Stage {
    pub(super) const fn new(layer: AnyLayer, held: Vec<u8>) -> Self {
        Self { layer, held, taken: 0, more: false, ended: false }
    }

    pub(super) const fn compression(&self) -> Option<&CompressionLayer> {
        match &self.layer {
            AnyLayer::Compression(layer) => Some(layer),
            #[cfg(feature = "tls")]
            AnyLayer::Tls(_) => None,
        }
    }

    pub(super) const fn compression_mut(&mut self) -> Option<&mut CompressionLayer> {
        match &mut self.layer {
            AnyLayer::Compression(layer) => Some(layer),
            #[cfg(feature = "tls")]
            AnyLayer::Tls(_) => None,
        }
    }

    #[cfg(feature = "tls")]
    pub(super) const fn tls(&self) -> Option<&TlsLayer> {
        match &self.layer {
            AnyLayer::Tls(layer) => Some(layer),
            AnyLayer::Compression(_) => None,
        }
    }

    #[cfg(feature = "tls")]
    pub(super) const fn tls_mut(&mut self) -> Option<&mut TlsLayer> {
        match &mut self.layer {
            AnyLayer::Tls(layer) => Some(layer),
            AnyLayer::Compression(_) => None,
        }
    }

    /// Lets the layer read the input that is held for it.
    pub(super) fn read_held(&mut self, plain: &mut Vec<u8>, room: usize, work: &Work, now: Duration) -> Result<(), Reason> {
        let held = self.held.get(self.taken..).unwrap_or_default();
        let progress = self.layer.get_mut().read(held, plain, room, work, now)?;
        self.more = progress.more;
        self.taken += progress.consumed;
        if self.taken >= self.held.len() {
            self.drop_held();
        } else if self.taken >= self.held.len() / 2 {
            self.held.drain(..self.taken);
            self.taken = 0;
        }
        Ok(())
    }

    /// How many bytes of input the layer has not taken yet.
    #[cfg(feature = "tls")]
    pub(super) const fn held_len(&self) -> usize {
        self.held.len() - self.taken
    }

    /// Whether there is input that the layer has not taken yet.
    pub(super) const fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether the layer can go on without input from below.
    pub(super) const fn has_input(&self) -> bool {
        self.more || self.holds()
    }

    pub(super) fn drop_held(&mut self) {
        self.held = Vec::new();
        self.taken = 0;
    }
}
