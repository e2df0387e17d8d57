//! Torsade's connections (TCP, UNIX sockets, pipes, standard input and output, child processes), the byte layers that can be
//! switched on while a connection lives, and datagrams. Most programs use this crate through `torsade`.
//!
//! The path of a byte: `StreamConnection` (`connection.rs`) reads it in step 6 of a turn, the `Chain` (`chain.rs`) passes
//! it through the layers that are on, and the protocol gets it. What the protocol writes takes the same path back into
//! the `Output` (`output.rs`), which is written once after the callback.

#![cfg_attr(docsrs, feature(doc_cfg))]
// The target of links from the other crates, if this one is not documented beside them.
#![doc(html_root_url = "https://docs.rs/torsade-transports/latest")]

#[cfg(feature = "futures-io")]
mod async_connection;
mod bound;
mod compression;
pub mod conformance;
mod connection;
#[cfg(feature = "dns")]
mod dns;
mod endpoints;
mod ends;
mod layer;
pub mod service;
#[cfg(feature = "tls")]
mod tls;

#[cfg(feature = "futures-io")]
pub use async_connection::{AsyncConnection, AsyncProtocol, Incoming, ReactorAsync};
pub use compression::{EncoderError, content_coding, permessage_deflate};
#[cfg(feature = "dns")]
pub use dns::{DnsConfig, DnsResolver};
pub use endpoints::client::{ClientEndpoint, StreamClientEndpoint};
pub use endpoints::into_endpoint::IntoEndpoint;
pub use endpoints::reactor_endpoints::ReactorEndpoints;
pub use endpoints::server::{ServerEndpoint, StreamServerEndpoint};
pub use endpoints::text::arguments::EndpointArguments;
pub use endpoints::text::quoting::quote_string_argument;
pub use endpoints::text::registry::{EndpointPrefixError, register_endpoint_parser};
pub use ends::port::Port;
pub use ends::process_output::{ProcessOutput, get_process_output, get_process_output_and_value, get_process_value};
pub use ends::reactor_process::ReactorProcess;
pub use ends::reactor_stdio::ReactorStdio;
pub use ends::reactor_tcp::ReactorTcp;
#[cfg(feature = "tls")]
pub use ends::reactor_tls::ReactorTls;
pub use ends::reactor_udp::ReactorUdp;
pub use ends::reactor_unix::ReactorUnix;
#[cfg(feature = "tls")]
pub use ends::tls_wrapping::{TlsWrappingFactory, tls_wrapping_factory};
#[cfg(feature = "tls")]
pub use tls::{
    PrivateCertificate, TlsClientConfig, TlsClientConfigBuilder, TlsConfigError, TlsServerConfig, TlsServerConfigBuilder,
    TrustRoots,
};
