//! What can be passed as an endpoint.

use std::net::SocketAddr;
use std::str::FromStr;

use torsade_protocols::{EndpointError, HostPort};

use super::client::ClientEndpoint;
use super::server::ServerEndpoint;

/// What can be passed as an endpoint to listen on ([`ServerEndpoint`]) or to connect to ([`ClientEndpoint`]): the endpoint
/// itself, text, or a `SocketAddr`; to connect to, also a [`HostPort`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an endpoint",
    note = "write it as text, `\"tcp:8000\"` to listen or `\"tcp:localhost:8000\"` to connect, or make a `ServerEndpoint` or a `ClientEndpoint`"
)]
pub trait IntoEndpoint<E> {
    /// Converts it to an endpoint.
    ///
    /// # Errors
    /// [`EndpointError`] if the text is not an endpoint.
    fn into_endpoint(self) -> Result<E, EndpointError>;
}

impl IntoEndpoint<Self> for ServerEndpoint {
    fn into_endpoint(self) -> Result<Self, EndpointError> {
        Ok(self)
    }
}

impl IntoEndpoint<Self> for ClientEndpoint {
    fn into_endpoint(self) -> Result<Self, EndpointError> {
        Ok(self)
    }
}

impl<E: FromStr<Err = EndpointError>> IntoEndpoint<E> for &str {
    fn into_endpoint(self) -> Result<E, EndpointError> {
        self.parse()
    }
}

impl<E: FromStr<Err = EndpointError>> IntoEndpoint<E> for &String {
    fn into_endpoint(self) -> Result<E, EndpointError> {
        self.parse()
    }
}

impl<E: FromStr<Err = EndpointError>> IntoEndpoint<E> for String {
    fn into_endpoint(self) -> Result<E, EndpointError> {
        self.parse()
    }
}

impl<E: From<Self>> IntoEndpoint<E> for SocketAddr {
    fn into_endpoint(self) -> Result<E, EndpointError> {
        Ok(self.into())
    }
}

impl IntoEndpoint<ClientEndpoint> for HostPort {
    fn into_endpoint(self) -> Result<ClientEndpoint, EndpointError> {
        Ok(self.into())
    }
}
