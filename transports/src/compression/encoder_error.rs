//! The error of an encoder that is called directly.

use std::error::Error;
use std::fmt;

/// An encoder has failed. No input causes this, neither the program's nor a peer's: the codec has a bug, or there is no
/// memory for it.
///
/// What was compressed so far is useless: end the message, the body or the connection with an error.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EncoderError(pub(super) String);

impl fmt::Display for EncoderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "compressing failed: {}", self.0)
    }
}

impl Error for EncoderError {}
