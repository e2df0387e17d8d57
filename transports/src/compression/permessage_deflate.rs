//! Compressed WebSocket messages: the extension permessage-deflate, RFC 7692.
//!
//! This compresses single messages, not the connection as `set_compression` does. A client offers [`Parameters`], a server
//! accepts them, and both get a [`Compressor`] for the messages that they send and a [`Decompressor`] for those that they
//! receive. Framing is left to the WebSocket: it passes the joined fragments of a compressed message's payload in here, and sets
//! the bit RSV1 in the first frame.
//!
//! ```
//! use torsade::permessage_deflate::Parameters;
//! use torsade::prelude::*;
//!
//! fn main() -> Result {
//!     let reactor = Reactor::new()?; // whose pool lends the encoders
//!
//!     // What goes into the header Sec-WebSocket-Extensions of the request, and of the answer.
//!     let wanted = Parameters::default();
//!     let offer = wanted.offer();
//!     assert_eq!(offer, "permessage-deflate; client_max_window_bits");
//!     let policy = Parameters::default().client_no_context_takeover(true);
//!     let agreed = policy.accept(&offer)?.expect("we can do what was offered");
//!     let answer = agreed.answer();
//!     assert_eq!(answer, "permessage-deflate; client_no_context_takeover");
//!     assert_eq!(wanted.read_answer(&answer)?, Some(agreed));
//!
//!     let (mut compressor, _) = agreed.client_side(&reactor);
//!     let (_, mut decompressor) = agreed.server_side(&reactor);
//!     let mut payload = Vec::new();
//!     compressor.compress(b"in two ", false, &mut payload)?;
//!     compressor.compress(b"pieces", true, &mut payload)?;
//!
//!     let (mut rest, mut message) = (&payload[..], Vec::new());
//!     while decompressor.decompress(&mut rest, true, &mut message, 64 << 10)? {}
//!     assert_eq!(message, b"in two pieces");
//!     Ok(())
//! }
//! ```
//!
//! As with every compressed connection, lengths reveal what repeats. Send a message that contains both a secret and text that
//! somebody else may choose uncompressed, which any message may be, without RSV1.

mod compressor;
mod decompressor;
mod extension_list;
mod negotiation;
mod parameters;

pub use compressor::Compressor;
pub use decompressor::Decompressor;
pub use negotiation::NegotiationError;
pub use parameters::Parameters;

/// The end of a flush, which messages leave out: most of an empty stored block; RFC 7692, 7.2.1.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
