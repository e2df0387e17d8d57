//! A reason for other threads, and for those who know only errors of input and output.

use std::error::Error;
use std::fmt;
use std::io::{Error as IoError, ErrorKind};

use crate::compression::DecompressErrorKind;
use crate::reason::Reason;

/// What a [`Reason`] says, in text and kind, without the errors that it was made of: it may go to other threads.
///
/// It is what an [`io::Error`](IoError) made of a reason holds. `error.get_ref()` gives it, to be downcast.
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
    /// The kind of reason in one word, as of [`Reason::kind`].
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

/// The system's own kind where it has said one; otherwise the kind that programs look for.
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
