//! Endpoints: texts and values that say where to listen and where to connect.

#[path = "../support/support.rs"]
mod support;

mod connect_protocol;
mod custom;
#[cfg(unix)]
mod processes;
#[cfg(unix)]
mod socket_options;
mod stdio;
mod text;
mod text_documented;
mod text_errors;
