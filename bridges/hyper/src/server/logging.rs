//! How the end of a connection is logged.

use std::error::Error;
use std::fmt;

use torsade::{Escaped, Transport};

/// An error with all its causes, on one line.
pub(super) struct Chain<'a>(pub(super) &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Escaped(&self.0))?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {}", Escaped(&error))?;
            cause = error.source();
        }
        Ok(())
    }
}

/// An error of a service, which was logged where it happened.
#[derive(Debug)]
pub(super) struct ServiceFailed(pub(super) Box<dyn Error + Send + Sync>);

impl fmt::Display for ServiceFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the service failed")
    }
}

impl Error for ServiceFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// Logs how a connection ended: at `Error` for a fault of the program, at `Warn` for one of the peer, and at `Debug` if the peer
/// went away or was silent.
pub(super) fn log_end(transport: &Transport, error: &hyper::Error) {
    let peer = transport.peer();
    log::log!(level(error), "HTTP connection of {peer} ended: {}", Chain(error));
}

fn level(error: &hyper::Error) -> log::Level {
    let went = error.is_timeout() || error.is_incomplete_message() || error.is_canceled() || error.is_closed();
    if went || has_cause::<ServiceFailed>(error) {
        log::Level::Debug
    } else if error.is_user() {
        log::Level::Error
    } else {
        log::Level::Warn
    }
}

fn has_cause<E: Error + 'static>(error: &dyn Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<E>() {
            return true;
        }
        cause = error.source();
    }
    false
}
