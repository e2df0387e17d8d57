//! Content codings: bodies of HTTP messages compressed one by one, RFC 9110, 8.4 and 12.5.3.
//!
//! A [`ContentEncoder`] compresses one body and a [`ContentDecoder`] decompresses one, both in pieces; [`choose`] finds a coding
//! that a client accepts by its header `Accept-Encoding`, and [`format`](format()) the format of a `Content-Encoding`. A body has
//! no announcement: its bytes are standard, and headers say what they are.
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
//! # Which to choose
//! Every client reads `gzip`. What HTTP calls `deflate` is zlib; some servers send raw deflate under that name, so read it as
//! [`Decompression::deflate_any`](torsade_protocols::Decompression::deflate_any). Do not compress a page that contains both a
//! secret (such as a CSRF token) and text from the request: its length reveals the secret (BREACH).

mod accept_encoding;
mod content_decoder;
mod content_encoder;

pub use accept_encoding::{NotAcceptable, choose};
pub use content_decoder::ContentDecoder;
pub use content_encoder::ContentEncoder;

use torsade_protocols::Format;

/// Returns the format of a content coding by its name in `Content-Encoding`: `gzip`, `x-gzip`, `deflate` or `zstd`, ignoring
/// case; `None` for any other, including `identity`.
///
/// [`Format::name`] is the inverse. Several codings of a body are listed in the order in which they were applied; decode the
/// last one first.
#[must_use]
pub fn format(name: &str) -> Option<Format> {
    let named = |format: Format| name.eq_ignore_ascii_case(format.name());
    if name.eq_ignore_ascii_case("x-gzip") { Some(Format::Gzip) } else { CODINGS.into_iter().find(|format| named(*format)) }
}

/// The formats that are content codings.
const CODINGS: [Format; 3] = [Format::Gzip, Format::Deflate, Format::Zstd];
