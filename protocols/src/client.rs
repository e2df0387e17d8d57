//! The client side of a connection: the attempt to connect, why it failed, and connecting again.

pub(crate) mod connect_error;
pub(crate) mod connect_options;
pub(crate) mod connector;
pub(crate) mod reconnecting_client_factory;
