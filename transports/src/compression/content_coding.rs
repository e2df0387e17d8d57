//! Content codings: bodies of HTTP messages compressed one by one, RFC 9110, 8.4 and 12.5.3.
//!
//! A [`ContentEncoder`] compresses one body and a [`ContentDecoder`] reads one, both in pieces; [`choose`] says by the header
//! `Accept-Encoding` which coding a client can read, and [`format`](format()) what a `Content-Encoding` is. There is no
//! announcement in a body: its bytes are those of any other encoder, and headers say what they are.
//!
//! ```
//! use torsade::content_coding::{self, ContentDecoder, ContentEncoder};
//! use torsade::prelude::*;
//!
//! fn main() -> Result {
//!     // A server.
//!     let offered = [Format::Gzip, Format::Deflate];
//!     let coding = content_coding::choose("br, gzip;q=0.8, *;q=0.1", &offered)?.expect("gzip");
//!     assert_eq!(coding.to_string(), "gzip"); // for Content-Encoding; and Vary: Accept-Encoding
//!     let mut encoder = ContentEncoder::new(coding)?;
//!     let mut body = Vec::new();
//!     encoder.write(b"<p>what is ready first", &mut body)?;
//!     encoder.flush(&mut body)?; // the client can read it
//!     encoder.write(b"<p>and the rest", &mut body)?;
//!     encoder.finish(&mut body)?;
//!
//!     // A client.
//!     let format = content_coding::format("x-gzip").expect("a name of gzip");
//!     let mut decoder = ContentDecoder::new(Decompression::from(format).max_total(Some(1 << 20)))?;
//!     let mut page = Vec::new();
//!     for mut piece in body.chunks(7) {
//!         while decoder.decode(&mut piece, &mut page, 64 << 10)? {}
//!     }
//!     decoder.finish()?;
//!     assert_eq!(page, b"<p>what is ready first<p>and the rest");
//!     Ok(())
//! }
//! ```
//!
//! # Which to take
//! `gzip` is read by every client. What HTTP calls `deflate` is zlib; some servers send raw deflate by that name, so read it as
//! [`Decompression::deflate_any`](torsade_protocols::Decompression::deflate_any). Do not compress a page that holds a secret
//! (a token against forged requests) beside text that the request has brought: its length gives the secret away (BREACH).

mod accept_encoding;
mod content_decoder;
mod content_encoder;

pub use accept_encoding::{NotAcceptable, choose};
pub use content_decoder::ContentDecoder;
pub use content_encoder::ContentEncoder;

use torsade_protocols::Format;

/// The format of a content coding, by the name that it has in `Content-Encoding`, in any case: `gzip`, `x-gzip`, `deflate` or
/// `zstd`; none for any other, `identity` among them.
///
/// [`Format::name`] is the way back. A body with several codings has them in the order in which they were applied; read the
/// last one first.
#[must_use]
pub fn format(name: &str) -> Option<Format> {
    let named = |format: Format| name.eq_ignore_ascii_case(format.name());
    if name.eq_ignore_ascii_case("x-gzip") { Some(Format::Gzip) } else { CODINGS.into_iter().find(|format| named(*format)) }
}

/// The formats that are content codings.
const CODINGS: [Format; 3] = [Format::Gzip, Format::Deflate, Format::Zstd];
