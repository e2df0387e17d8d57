//! Torsade's [`Protocol`], [`Factory`] and [`Transport`], and sans-IO framing: bytes in, calls and bytes out.
//!
//! Nothing here opens a socket or reads a clock. The connections behind a [`Transport`] are in `torsade-transports`; most
//! programs use both through the `torsade` crate.

#![cfg_attr(docsrs, feature(doc_cfg))]
// Where links from the other crates lead if this crate's docs are not built with theirs.
#![doc(html_root_url = "https://docs.rs/torsade-protocols/latest")]

mod address;
mod client;
mod compression;
mod connection;
mod datagram_error;
mod datagram_protocol;
mod datagram_transport;
mod delivery;
mod endpoint_error;
mod factory;
mod framing;
mod layers;
mod listen_error;
mod offer;
pub mod policies;
mod port_forward;
mod process;
mod producer;
mod protocol;
mod proxy_protocol;
mod reason;
mod reason_text;
mod shared_bytes;
pub mod testing;
mod tls;
mod transport;
pub mod wire;
mod work;

pub use address::{Address, AddressError, Destination, Host, HostPort, IntoHostPort, UnixName};
pub use client::connect_error::ConnectError;
pub use client::connect_options::ConnectOptions;
pub use client::connector::{Connector, ConnectorState};
pub use client::reconnecting_client_factory::{Backoff, ReconnectingClientFactory};
pub use compression::{
    AfterEnd, Compression, CompressionError, CompressionStats, DecompressError, DecompressErrorKind, Decompression, Detect,
    Dictionary, Flush, Format, StoredBytes, Truncation,
};
pub use datagram_error::DatagramError;
pub use datagram_protocol::DatagramProtocol;
pub use datagram_transport::DatagramTransport;
pub use delivery::Delivery;
pub use endpoint_error::{EndpointError, EndpointProblem};
pub use factory::{ClientFactory, Factory, IntoProtocol};
pub use framing::decoder::{Decoded, Decoder, FrameDecoder, FrameError};
pub use framing::frame_receiver::{FrameProtocol, FrameReceiver};
pub use framing::frame_transport::FrameTransport;
pub use framing::int_string_receiver::{Int8StringReceiver, Int16StringReceiver, Int32StringReceiver, IntStringDecoder};
pub use framing::line_decoder::{LineDecoder, LineTooLong};
pub use framing::line_only_receiver::LineOnlyReceiver;
pub use framing::line_receiver::{LineProtocol, LineReceiver, LineTransport};
pub use framing::netstring_receiver::{NetstringDecoder, NetstringError, NetstringReceiver};
pub use framing::stateful_protocol::{ProtocolState, StatefulError, StatefulProtocol, StatefulReceiver};
pub use framing::string_protocol::{StringDecoder, StringFrameTransport, StringProtocol, StringReceiver, StringTooLong};
pub use listen_error::ListenError;
pub use offer::{MakeHandle, Offer};
pub use port_forward::{PortForward, PortForwardClient};
pub use process::error::ProcessError;
pub use process::handle::Process;
pub use process::protocol::ProcessProtocol;
pub use producer::file_sender::{FileSender, FileSenderError};
pub use producer::{Producer, ProducerError};
pub use protocol::{Callback, PassedDescriptor, Protocol};
pub use proxy_protocol::error::ProxyHeaderError;
pub use proxy_protocol::factory::{ProxyProtocolFactory, ProxyTrust};
pub use proxy_protocol::header::{ProxyHeader, ProxyVersion};
pub use proxy_protocol::tlv::{ProxySsl, Tlv};
pub use reason::{Deadline, Reason};
pub use reason_text::ReasonText;
pub use shared_bytes::SharedBytes;
pub use tls::{CertificateProblem, StartTlsError, TlsConfig, TlsError, TlsInfo, TlsVersion};
pub use torsade_reactor::Result;
pub use transport::Transport;

/// For extending Torsade: custom connections and byte layers. Most programs need none of it.
pub mod spi {
    pub use crate::client::connector::Connect;
    pub use crate::connection::Connection;
    pub use crate::datagram_transport::DatagramEnd;
    pub use crate::layers::Layers;
    pub use crate::process::handle::RunningProcess;
    pub use crate::producer::consumers::{Consumers, Registration};
    pub use crate::tls::AlreadyReceived;
    pub use crate::transport::compression::ConnectionCompression;
    pub use crate::transport::limits::ConnectionLimits;
    pub use crate::transport::tls::ConnectionTls;
    pub use crate::transport::unix::ConnectionUnix;
    pub use crate::work::{Turn, Work, weight};
}
