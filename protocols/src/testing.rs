//! Test doubles for protocols: no socket, no loop, no waiting.
//!
//! [`StringTransport`] records what a protocol does to its transport. [`StringTransportWithDisconnection`] also owns the protocol
//! and acts as a connection would: it keeps bytes back while reading is paused, and ends when closed. [`IoPump`] joins two
//! protocols so that they talk to each other. Time is that of a reactor's `Clock`, which the test advances.

mod disconnection;
mod io_pump;
mod recorder;
mod string_transport;

pub use disconnection::StringTransportWithDisconnection;
pub use io_pump::{IoPump, IoPumpError, connected_server_and_client};
pub use string_transport::{ProducerState, StringTransport, TransportCall};
