//! Endpoints: text and values that say where to listen and where to connect.

mod connect_protocol;
mod text;
mod text_errors;
