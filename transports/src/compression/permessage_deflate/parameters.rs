//! The parameters that a client and a server agree on.

use torsade_reactor::Reactor;

use super::{Compressor, Decompressor};

/// The parameters of permessage-deflate, RFC 7692, 7.1: what one side wants, or what both have agreed on.
///
/// By default all messages of a direction are compressed as one stream, in a window of 32 KiB. A smaller window, or no context
/// takeover, saves memory on one or both sides, and costs bytes on the wire.
///
/// A server [accepts](Self::accept) an offer and [answers](Self::answer) it; a client [offers](Self::offer)
/// and [reads the answer](Self::read_answer). Then each makes the compressor and decompressor of [its side](Self::server_side).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Parameters {
    /// The client compresses in a window of at most two to this power; `None` means 15, the maximum.
    pub client_max_window_bits: Option<u8>,
    /// The client compresses each message independently of earlier ones. Default false.
    pub client_no_context_takeover: bool,
    /// The server compresses in a window of at most two to this power; `None` means 15, the maximum.
    pub server_max_window_bits: Option<u8>,
    /// The server compresses each message independently of earlier ones. Default false.
    pub server_no_context_takeover: bool,
}

impl Parameters {
    /// Sets the client's largest window, 8 to 15; other values count as the nearest of these. Default `None`, which is 15.
    ///
    /// A client of ours uses at least 9, the smallest that our encoder supports.
    #[must_use]
    pub fn client_max_window_bits(mut self, bits: u8) -> Self {
        self.client_max_window_bits = Some(bits.clamp(8, 15));
        self
    }

    /// Sets whether the client compresses each message on its own. Default false.
    ///
    /// The server then keeps no decoder (48 KB) between messages, and the client no encoder and no history.
    #[must_use]
    pub const fn client_no_context_takeover(mut self, alone: bool) -> Self {
        self.client_no_context_takeover = alone;
        self
    }

    /// Sets the server's largest window, 8 to 15; other values count as the nearest of these. Default `None`, which is 15.
    ///
    /// A server of ours uses at least 9, the smallest that our encoder supports.
    #[must_use]
    pub fn server_max_window_bits(mut self, bits: u8) -> Self {
        self.server_max_window_bits = Some(bits.clamp(8, 15));
        self
    }

    /// Sets whether the server compresses each message on its own. Default false.
    ///
    /// The server then keeps no encoder and no history (32 KiB) between messages, and the client no decoder.
    #[must_use]
    pub const fn server_no_context_takeover(mut self, alone: bool) -> Self {
        self.server_no_context_takeover = alone;
        self
    }

    /// Makes a server's compressor and decompressor for agreed parameters.
    ///
    /// Encoders come from the reactor's pool, as for compressed connections: an idle compressor holds none, or one that can be
    /// taken from it. The decompressor's memory counts towards the limit of the reactor
    /// ([`set_decompression_memory`](crate::ReactorTcp::set_decompression_memory)).
    #[must_use]
    pub fn server_side(&self, reactor: &Reactor) -> (Compressor, Decompressor) {
        let compressor = Compressor::new(self.server_no_context_takeover, self.server_max_window_bits, reactor);
        (compressor, Decompressor::new(self.client_no_context_takeover, reactor))
    }

    /// Makes a client's compressor and decompressor for agreed parameters; otherwise like [`server_side`](Self::server_side).
    #[must_use]
    pub fn client_side(&self, reactor: &Reactor) -> (Compressor, Decompressor) {
        let compressor = Compressor::new(self.client_no_context_takeover, self.client_max_window_bits, reactor);
        (compressor, Decompressor::new(self.server_no_context_takeover, reactor))
    }
}
