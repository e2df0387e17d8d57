//! Test doubles for protocols: no socket, no loop, no waiting.
//!
//! [`StringTransport`] records what a protocol does to its transport. [`StringTransportWithDisconnection`] owns the
//! protocol as well and treats it as a connection would: it keeps bytes back while reading is paused, and ends it when
//! it was closed. [`IoPump`] joins two protocols, so that they talk to each other. Time is a reactor's `Clock`,
//! which the test moves.

mod disconnection;
mod io_pump;
mod recorder;
mod string_transport;

pub use disconnection::StringTransportWithDisconnection;
pub use io_pump::{IoPump, IoPumpError, connected_server_and_client};
pub use string_transport::{ProducerState, StringTransport, TransportCall};
