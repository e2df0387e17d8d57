//! Where to listen and where to connect to, as values that a program makes or reads from its configuration.
//!
//! An endpoint is a place (a port, a path, a descriptor), how the system is to open it, and the layers that its connections begin
//! with. In whichever order these are said, on the wire they are as they must be: the header of a proxy first, then TLS, then
//! compression.

pub(crate) mod client;
mod connect_protocol;
mod inherited;
pub(crate) mod into_endpoint;
mod layered;
pub(crate) mod reactor_endpoints;
pub(crate) mod server;
mod stdio;
pub(crate) mod text;
mod tls_files;

pub(crate) use client::ClientEndpoint;
pub(crate) use into_endpoint::IntoEndpoint;
pub(crate) use server::ServerEndpoint;
