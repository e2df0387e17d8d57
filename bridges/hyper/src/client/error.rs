//! Why a request failed.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

use send_wrapper::SendWrapper;
use torsade::{ConnectError, Failure};

/// Why a request got no response, or a response's body is incomplete.
///
/// [`source`](Error::source) is the cause: a [`ConnectError`], or a [`hyper::Error`], whose own source may be an [`io::Error`]
/// that contains the connection's [`ReasonText`](torsade::ReasonText). On other threads an error has its kind and text, but no
/// source.
pub struct ClientError {
    kind: ClientErrorKind,
    text: String,
    source: Option<SendWrapper<Box<dyn Error>>>,
}

/// The kind of a [`ClientError`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum ClientErrorKind {
    /// The connection, or in HTTP/2 the stream, ended before the response was complete: the server closed or reset it, or our
    /// reactor stopped. The server may have processed the request.
    Closed,
    /// No connection could be made to send the request on. The server has seen nothing of it.
    Connect,
    /// What the server sent is not valid HTTP, or exceeds a limit.
    Protocol,
    /// The request cannot be sent: its URI has no host or an unknown scheme, its headers contradict each other, or its body
    /// failed.
    Request,
    /// There was no progress for the client's [`timeout`](crate::ClientBuilder::timeout).
    TimedOut,
}

impl ClientError {
    pub(super) fn new(kind: ClientErrorKind, source: impl Into<Box<dyn Error>>) -> Self {
        let source = source.into();
        Self { kind, text: format!("{kind}: {source}"), source: Some(SendWrapper::new(source)) }
    }

    pub(super) fn timed_out(after: Duration) -> Self {
        Self { kind: ClientErrorKind::TimedOut, text: format!("{} for {after:?}", ClientErrorKind::TimedOut), source: None }
    }

    pub(super) fn connect(failure: &Failure) -> Self {
        match failure.downcast_ref::<ConnectError>() {
            Some(error) => Self::new(ClientErrorKind::Connect, error.clone()),
            None => Self::new(ClientErrorKind::Connect, failure.to_string()),
        }
    }

    /// The kind of error.
    #[must_use]
    pub const fn kind(&self) -> ClientErrorKind {
        self.kind
    }
}

impl From<hyper::Error> for ClientError {
    fn from(error: hyper::Error) -> Self {
        let mut described = Self::new(ClientErrorKind::of(&error), error);
        // hyper's errors do not include the text of their sources.
        let mut source = described.source().and_then(Error::source);
        let mut causes = String::new();
        while let Some(cause) = source {
            causes.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        described.text.push_str(&causes);
        described
    }
}

impl ClientErrorKind {
    pub(super) fn of(error: &hyper::Error) -> Self {
        let cause = error.source().and_then(<dyn Error>::downcast_ref::<io::Error>).map(io::Error::kind);
        if error.is_user() {
            Self::Request
        } else if error.is_parse() || matches!(cause, Some(ErrorKind::InvalidData | ErrorKind::InvalidInput)) {
            Self::Protocol
        } else {
            Self::Closed
        }
    }
}

impl fmt::Display for ClientErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the connection ended before the response was complete",
            Self::Connect => "no connection could be made",
            Self::Protocol => "the server's response is not valid",
            Self::Request => "the request cannot be sent",
            Self::TimedOut => "timed out: the server neither sent nor read anything",
        })
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for ClientError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source = self.source.as_ref().filter(|source| source.valid())?;
        Some(&***source)
    }
}

impl Drop for ClientError {
    fn drop(&mut self) {
        // The source may only be dropped on its own thread. Elsewhere a few bytes are leaked, since the alternative would be a
        // panic.
        if let Some(source) = self.source.take_if(|source| !source.valid()) {
            std::mem::forget(source);
        }
    }
}
