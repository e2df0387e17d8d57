//! What a client and a server agree on.

use torsade_reactor::Reactor;

use super::{Compressor, Decompressor};

/// The parameters of permessage-deflate, RFC 7692, 7.1: what one side wants, or what both have agreed on.
///
/// Unless set, all messages of a direction are compressed as one stream, in a window of 32 KiB. A side that does without takes
/// less memory for itself, or for its peer, and more bytes on the wire.
///
/// A server [accepts](Self::accept) an offer by what it wants itself and [answers](Self::answer); a client [offers](Self::offer)
/// and [reads the answer](Self::read_answer). Then each makes [its side](Self::server_side) of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Parameters {
    /// The client compresses in a window of at most two to this power; none for 15, the most there is.
    pub client_max_window_bits: Option<u8>,
    /// The client compresses each message without those before it. Default false.
    pub client_no_context_takeover: bool,
    /// The server compresses in a window of at most two to this power; none for 15, the most there is.
    pub server_max_window_bits: Option<u8>,
    /// The server compresses each message without those before it. Default false.
    pub server_no_context_takeover: bool,
}

impl Parameters {
    /// Sets the client's largest window: 8 to 15, and what is beyond is taken for the nearest. Default none, which is 15.
    ///
    /// As a client, at least 9, which is the least that our encoder has.
    #[must_use]
    pub fn client_max_window_bits(mut self, bits: u8) -> Self {
        self.client_max_window_bits = Some(bits.clamp(8, 15));
        self
    }

    /// Sets whether the client compresses each message on its own. Default false.
    ///
    /// A server that wants it keeps no decoder (48 KB) between messages, a client no encoder and no history.
    #[must_use]
    pub const fn client_no_context_takeover(mut self, alone: bool) -> Self {
        self.client_no_context_takeover = alone;
        self
    }

    /// Sets the server's largest window: 8 to 15, and what is beyond is taken for the nearest. Default none, which is 15.
    ///
    /// As a server, at least 9, which is the least that our encoder has.
    #[must_use]
    pub fn server_max_window_bits(mut self, bits: u8) -> Self {
        self.server_max_window_bits = Some(bits.clamp(8, 15));
        self
    }

    /// Sets whether the server compresses each message on its own. Default false.
    ///
    /// A server that wants it keeps no encoder and no history (32 KiB) between messages, a client no decoder.
    #[must_use]
    pub const fn server_no_context_takeover(mut self, alone: bool) -> Self {
        self.server_no_context_takeover = alone;
        self
    }

    /// What a server compresses and decompresses with, once these are agreed.
    ///
    /// Encoders are those of the reactor's pool, as for compressed connections: an idle compressor has lent none, or may have to
    /// give it to another. What the decompressor takes counts among all those of the reactor
    /// ([`set_decompression_memory`](crate::ReactorTcp::set_decompression_memory)).
    #[must_use]
    pub fn server_side(&self, reactor: &Reactor) -> (Compressor, Decompressor) {
        let compressor = Compressor::new(self.server_no_context_takeover, self.server_max_window_bits, reactor);
        (compressor, Decompressor::new(self.client_no_context_takeover, reactor))
    }

    /// What a client compresses and decompresses with, once these are agreed; otherwise as [`server_side`](Self::server_side).
    #[must_use]
    pub fn client_side(&self, reactor: &Reactor) -> (Compressor, Decompressor) {
        let compressor = Compressor::new(self.client_no_context_takeover, self.client_max_window_bits, reactor);
        (compressor, Decompressor::new(self.server_no_context_takeover, reactor))
    }
}
