//! Why a port could not be opened.

use std::error::Error;
use std::fmt;
use std::io;
use std::rc::Rc;

use crate::address::{Address, AddressError, HostPort};
use crate::endpoint_error::EndpointError;

/// Why a port could not be opened.
#[non_exhaustive]
#[doc(alias = "CannotListenError")]
pub enum ListenError {
    /// The address could not be understood.
    Address(AddressError),
    /// Something the endpoint refers to cannot be used, such as a certificate file.
    Configuration(Rc<dyn Error>),
    /// The endpoint could not be understood.
    Endpoint(EndpointError),
    /// The system refused: most often the port is in use, or is below 1024 and not permitted.
    Io {
        /// The address to listen on.
        address: Address,
        /// The system's error.
        cause: io::Error,
    },
    /// The address has a host name. Listening needs an IP address, because a name may stand for several.
    Name(HostPort),
    /// The reactor is stopping.
    ShuttingDown,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) => error.fmt(f),
            Self::Configuration(error) => write!(f, "cannot listen: {error}"),
            Self::Endpoint(error) => error.fmt(f),
            Self::Io { address: address @ (Address::Tcp(_) | Address::Udp(_)), cause }
                if cause.kind() == io::ErrorKind::AddrInUse =>
            {
                write!(
                    f,
                    "cannot listen on {address}: the port is in use; stop the program that uses it, or use port 0 for a free one"
                )
            }
            Self::Io { address, cause } => write!(f, "cannot listen on {address}: {cause}"),
            Self::Name(address) => write!(f, "cannot listen on {address}: give an IP address, 127.0.0.1 or [::] for instance"),
            Self::ShuttingDown => f.write_str("cannot listen: the reactor is stopping"),
        }
    }
}

torsade_reactor::debug_as_display!(ListenError);

impl Error for ListenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Address(error) => Some(error),
            Self::Configuration(error) => Some(&**error),
            Self::Endpoint(error) => Some(error),
            Self::Io { cause, .. } => Some(cause),
            Self::Name(_) | Self::ShuttingDown => None,
        }
    }
}

impl From<AddressError> for ListenError {
    fn from(error: AddressError) -> Self {
        Self::Address(error)
    }
}

impl From<EndpointError> for ListenError {
    fn from(error: EndpointError) -> Self {
        Self::Endpoint(error)
    }
}
