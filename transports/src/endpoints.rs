//! Endpoints: where to listen and where to connect, as values that a program makes or reads from its configuration.
//!
//! An endpoint is a place (a port, a path, a descriptor), the socket options, and the layers that its connections begin
//! with. The layers have a fixed order on the wire, however they are given: the proxy's header, then TLS, then compression.

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
