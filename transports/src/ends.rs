//! Where connections come from: ports that accept them and connectors that make them.

pub(crate) mod accept_bound;
pub(crate) mod adopted;
pub(crate) mod connector;
#[cfg(feature = "tls")]
pub(crate) mod over_transport;
pub(crate) mod port;
pub(crate) mod reactor_stdio;
pub(crate) mod reactor_tcp;
#[cfg(feature = "tls")]
pub(crate) mod reactor_tls;
#[cfg(feature = "tls")]
pub(crate) mod tls_wrapping;
