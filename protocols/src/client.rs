//! What a client has besides its protocol: the attempt to connect, what it failed with, and the next one.

pub(crate) mod connect_error;
pub(crate) mod connect_options;
pub(crate) mod connector;
pub(crate) mod reconnecting_client_factory;
