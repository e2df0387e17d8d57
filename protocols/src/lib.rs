//! Torsade's [`Protocol`], [`Factory`] and [`Transport`], and sans-IO framing: bytes in, calls and bytes out.
//!
//! Nothing here opens a socket or reads a clock. Connections, which stand behind a [`Transport`], are in
//! `torsade-transports`; most programs use both through the `torsade` crate.

#![cfg_attr(docsrs, feature(doc_cfg))]
// Where links from the other crates lead, if this one is not documented beside them.
#![doc(html_root_url = "https://docs.rs/torsade-protocols/latest")]

mod address;
mod byte_buffer;
mod compression;
mod connect_error;
mod connection;
mod connector;
mod consumers;
mod decoder;
mod delivery;
mod factory;
mod file_sender;
mod frame_receiver;
mod int_string_receiver;
mod line_decoder;
mod line_only_receiver;
mod line_receiver;
mod listen_error;
mod message_deadline;
mod netstring_receiver;
pub mod policies;
mod port_forward;
mod producer;
mod protocol;
mod reason;
mod reconnecting_client_factory;
mod stateful_protocol;
mod string_protocol;
pub mod testing;
mod tls;
mod transport;
pub mod wire;
pub mod work;

pub use address::{Address, AddressError, Host, HostPort, IntoHostPort};
pub use compression::{
    AfterEnd, Compression, CompressionError, CompressionStats, DecompressError, DecompressErrorKind, Decompression, Detect,
    Flush, Format, Truncation,
};
pub use connect_error::ConnectError;
pub use connection::Connection;
pub use connector::{Connect, Connector, ConnectorState};
pub use consumers::{Consumers, Registration};
pub use decoder::{Decoded, Decoder, FrameDecoder, FrameError};
pub use delivery::Delivery;
pub use factory::{ClientFactory, Factory, IntoProtocol};
pub use file_sender::{FileSender, FileSenderError};
pub use frame_receiver::{FrameProtocol, FrameReceiver, FrameTransport};
pub use int_string_receiver::{Int8StringReceiver, Int16StringReceiver, Int32StringReceiver, IntStringDecoder};
pub use line_decoder::{LineDecoder, LineTooLong};
pub use line_only_receiver::LineOnlyReceiver;
pub use line_receiver::{LineProtocol, LineReceiver, LineTransport};
pub use listen_error::ListenError;
pub use netstring_receiver::{NetstringDecoder, NetstringError, NetstringReceiver};
pub use port_forward::{PortForward, PortForwardClient};
pub use producer::{Producer, ProducerError};
pub use protocol::Protocol;
pub use reason::{Deadline, Reason};
pub use reconnecting_client_factory::{Backoff, ReconnectingClientFactory};
pub use stateful_protocol::{State, StateError, StateReceived, StatefulProtocol, StatefulReceiver};
pub use string_protocol::{StringDecoder, StringFrameTransport, StringProtocol, StringReceiver, StringTooLong};
pub use tls::{AlreadyReceived, CertificateProblem, StartTlsError, TlsConfig, TlsError, TlsInfo, TlsVersion};
pub use torsade_reactor::Result;
pub use transport::Transport;
