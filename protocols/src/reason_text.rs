//! Reasons for other threads, and for code that only knows I/O errors.

use std::error::Error;
use std::fmt;
use std::io::{Error as IoError, ErrorKind};

use crate::compression::DecompressErrorKind;
use crate::reason::Reason;

/// The text and kind of a [`Reason`], without its source errors, so that it can go to other threads.
///
/// An [`io::Error`](IoError) made from a reason contains it: downcast `error.get_ref()`.
///
/// # Examples
/// ```
/// use std::io;
/// use torsade::{Reason, ReasonText};
///
/// let error = io::Error::from(&Reason::ShuttingDown);
/// assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
/// let reason: &ReasonText = error.get_ref().and_then(|inner| inner.downcast_ref()).expect("the reason is in it");
/// assert_eq!((reason.kind(), error.to_string().as_str()), ("ShuttingDown", "the reactor is shutting down"));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ReasonText {
    kind: &'static str,
    text: String,
}

impl ReasonText {
    /// The kind of reason in one word: see [`Reason::kind`].
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        self.kind
    }
}

impl From<&Reason> for ReasonText {
    fn from(reason: &Reason) -> Self {
        Self { kind: reason.kind(), text: reason.to_string() }
    }
}

impl fmt::Display for ReasonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for ReasonText {}

/// The error kind is the system's if it returned one, otherwise the one that programs look for.
impl From<&Reason> for IoError {
    fn from(reason: &Reason) -> Self {
        let kind = match reason {
            Reason::ConnectionLost(error) => error.kind(),
            Reason::ConnectionDone => ErrorKind::BrokenPipe,
            Reason::ConnectionAborted | Reason::ShuttingDown => ErrorKind::ConnectionAborted,
            Reason::Decompress(error) if error.kind == DecompressErrorKind::Truncated => ErrorKind::UnexpectedEof,
            Reason::TlsTruncated => ErrorKind::UnexpectedEof,
            Reason::Decompress(_) | Reason::ProxyHeader(_) | Reason::Tls(_) => ErrorKind::InvalidData,
            Reason::TimedOut(_) => ErrorKind::TimedOut,
            Reason::CompressFailed(_) | Reason::LimitExceeded { .. } | Reason::Panicked(_) | Reason::Protocol(_) => {
                ErrorKind::Other
            }
        };
        Self::new(kind, ReasonText::from(reason))
    }
}
