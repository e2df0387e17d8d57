//! Ports, which accept connections, and connectors, which make them.

pub(crate) mod accept_bound;
pub(crate) mod adopted;
pub(crate) mod connector;
pub(crate) mod datagram_port;
#[cfg(feature = "tls")]
pub(crate) mod over_transport;
pub(crate) mod port;
pub(crate) mod process;
pub(crate) mod process_output;
mod process_stream;
pub(crate) mod reactor_process;
pub(crate) mod reactor_stdio;
pub(crate) mod reactor_tcp;
#[cfg(feature = "tls")]
pub(crate) mod reactor_tls;
pub(crate) mod reactor_udp;
pub(crate) mod reactor_unix;
mod socket_address;
#[cfg(feature = "tls")]
pub(crate) mod tls_wrapping;
