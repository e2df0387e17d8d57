//! Why a connection could not be made.

use std::error::Error;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::Panic;
use torsade_reactor::spi::copy_error;

use crate::address::{Address, AddressError};
use crate::endpoint_error::EndpointError;
use crate::reason::Reason;

/// Why a connection could not be made, as passed to `client_connection_failed`.
#[doc(alias = "getConnectError")]
#[non_exhaustive]
pub enum ConnectError {
    /// The address could not be understood.
    #[doc(alias = "ServiceNameUnknownError")]
    Address(AddressError),
    /// `connect` was called while the connector is connecting or connected.
    AlreadyConnected,
    /// Something the endpoint refers to cannot be used, such as a certificate file.
    Configuration(Rc<dyn Error>),
    /// The endpoint could not be understood.
    Endpoint(EndpointError),
    /// None of the name's addresses could be connected to; holds the error of each. If every address refused the connection, the
    /// error is [`Refused`](Self::Refused) instead.
    EveryAddress(Vec<(Address, io::Error)>),
    /// The factory's `build_protocol` panicked.
    Factory(Panic),
    /// The system refused the attempt: no route, no free descriptors, no permission.
    #[doc(alias = "BadFileError")]
    #[doc(alias = "ConnectBindError")]
    #[doc(alias = "NoRouteError")]
    #[doc(alias = "TCPTimedOutError")]
    Io(io::Error),
    /// The connection was made but lost before it could be used, for example because the TLS handshake failed.
    Lost(Reason),
    /// The factory built no protocol, so the connection was closed.
    NoProtocol,
    /// `stop_connecting` was called while no attempt was under way.
    #[doc(alias = "NotConnectingError")]
    NotConnecting,
    /// Nothing listens at the address.
    #[doc(alias = "ConnectionRefusedError")]
    Refused,
    /// The reactor is stopping.
    ShuttingDown,
    /// The connection was not established within the timeout (default 30 s), which includes looking up the name.
    #[doc(alias = "TimeoutError")]
    TimedOut(Duration),
    /// The host name was not looked up because 1,024 look-ups are already waiting. Try again later, or connect to an address.
    TooManyLookUps {
        /// The name.
        name: String,
    },
    /// The host name could not be looked up.
    #[doc(alias = "UnknownHostError")]
    #[doc(alias = "DNSLookupError")]
    UnknownHost {
        /// The name.
        name: String,
        /// The system's error.
        cause: io::Error,
    },
    /// `stop_connecting` or `disconnect` ended the attempt.
    UserError,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) => write!(f, "{error}, or a name: localhost:8000"),
            Self::AlreadyConnected => f.write_str("the connector is already connecting or connected: disconnect it first"),
            Self::Configuration(error) => write!(f, "cannot connect: {error}"),
            Self::Endpoint(error) => error.fmt(f),
            Self::EveryAddress(failures) => {
                write!(f, "connecting failed at all {} addresses", failures.len())?;
                let mut mark = ": ";
                for (address, error) in failures {
                    write!(f, "{mark}{address} ({error})")?;
                    mark = ", ";
                }
                Ok(())
            }
            Self::Factory(panic) => write!(f, "building the protocol {panic}"),
            Self::Io(error) => write!(f, "connecting failed: {error}"),
            Self::Lost(reason) => write!(f, "the connection was lost before it could be used: {reason}"),
            Self::NoProtocol => f.write_str("the factory built no protocol for this connection"),
            Self::NotConnecting => f.write_str("the connector is not connecting"),
            Self::Refused => f.write_str("connection refused: nothing listens there"),
            Self::ShuttingDown => f.write_str("the reactor is stopping: no new connections are made"),
            Self::TimedOut(after) => write!(f, "connecting timed out after {after:?}"),
            Self::TooManyLookUps { name } => {
                write!(f, "host {name:?} was not looked up: too many other look-ups are waiting; try again later")
            }
            Self::UnknownHost { name, cause } => write!(f, "host {name:?} could not be looked up: {cause}"),
            Self::UserError => f.write_str("the attempt was ended by stop_connecting"),
        }
    }
}

torsade_reactor::debug_as_display!(ConnectError);

impl Error for ConnectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Address(error) => Some(error),
            Self::Configuration(error) => Some(&**error),
            Self::Endpoint(error) => Some(error),
            Self::Factory(panic) => Some(panic),
            Self::Io(cause) | Self::UnknownHost { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            _ => Self::Io(error),
        }
    }
}

impl From<AddressError> for ConnectError {
    fn from(error: AddressError) -> Self {
        Self::Address(error)
    }
}

impl From<EndpointError> for ConnectError {
    fn from(error: EndpointError) -> Self {
        Self::Endpoint(error)
    }
}

/// A system error is copied by its number; any other `io::Error` by its kind and text.
impl Clone for ConnectError {
    fn clone(&self) -> Self {
        match self {
            Self::Address(error) => Self::Address(error.clone()),
            Self::AlreadyConnected => Self::AlreadyConnected,
            Self::Configuration(error) => Self::Configuration(Rc::clone(error)),
            Self::Endpoint(error) => Self::Endpoint(error.clone()),
            Self::EveryAddress(failures) => {
                Self::EveryAddress(failures.iter().map(|(address, error)| (address.clone(), copy_error(error))).collect())
            }
            Self::Factory(panic) => Self::Factory(panic.clone()),
            Self::Io(error) => Self::Io(copy_error(error)),
            Self::Lost(reason) => Self::Lost(reason.clone()),
            Self::NoProtocol => Self::NoProtocol,
            Self::NotConnecting => Self::NotConnecting,
            Self::Refused => Self::Refused,
            Self::ShuttingDown => Self::ShuttingDown,
            Self::TimedOut(after) => Self::TimedOut(*after),
            Self::TooManyLookUps { name } => Self::TooManyLookUps { name: name.clone() },
            Self::UnknownHost { name, cause } => Self::UnknownHost { name: name.clone(), cause: copy_error(cause) },
            Self::UserError => Self::UserError,
        }
    }
}
