//! Torsade's [`Protocol`], [`Factory`] and [`Transport`], and sans-IO framing: bytes in, calls and bytes out.
//!
//! Nothing here opens a socket or reads a clock. Connections, which stand behind a [`Transport`], are in
//! `torsade-transports`; most programs use both through the `torsade` crate.

mod address;
mod compression;
mod connect_error;
mod connection;
mod connector;
mod factory;
mod line_decoder;
mod line_receiver;
mod listen_error;
mod producer;
mod protocol;
mod reason;
mod reconnecting_client_factory;
mod transport;

pub use address::{Address, AddressError, Host, HostPort};
pub use compression::{
    AfterEnd, Compression, CompressionError, CompressionStats, DecompressError, DecompressErrorKind, Decompression, Detect,
    Flush, Format, Truncation,
};
pub use connect_error::ConnectError;
pub use connection::Connection;
pub use connector::{Connect, Connector, ConnectorState};
pub use factory::{ClientFactory, Factory, IntoProtocol};
pub use line_decoder::{LineDecoder, LineTooLong};
pub use line_receiver::{LineProtocol, LineReceiver, LineTransport};
pub use listen_error::ListenError;
pub use producer::{Producer, ProducerError};
pub use protocol::Protocol;
pub use reason::{Deadline, Reason};
pub use reconnecting_client_factory::{Backoff, ReconnectingClientFactory};
pub use torsade_reactor::Result;
pub use transport::Transport;
