//! A Twisted-style networking engine: one thread, one event loop, `connection_made` / `data_received` /
//! `connection_lost` on [`Protocol`] objects that a [`Factory`] builds, and compression and TLS that can be switched on
//! while a connection lives.
//!
//! ```toml
//! [dependencies]
//! torsade = "0.1"
//! ```
//!
//! A server of lines that compresses what it says; a Torsade client notices that by itself, and any other reads it with
//! its own zlib:
//!
//! ```no_run
//! use torsade::prelude::*;
//!
//! struct Server;
//!
//! impl LineProtocol for Server {
//!     fn connection_made(&mut self, transport: &LineTransport) -> Result {
//!         Ok(transport.set_compression("deflate")?)
//!     }
//!
//!     fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
//!         transport.send_line(line);
//!         Ok(())
//!     }
//! }
//!
//! fn main() -> Result {
//!     let reactor = Reactor::new()?;
//!     reactor.listen_tcp("127.0.0.1:8001", |_peer| LineReceiver::new(Server))?;
//!     reactor.run()
//! }
//! ```
//!
//! # Features
//! None is on unless asked for, and none changes what the others do.
//!
//! | feature | brings | needs |
//! |---|---|---|
//! | `tls` | TLS on connections of every kind, from the start or in mid-stream | rustls with ring; a C compiler |
//! | `zstd` | the compression format | the C library, which it builds |
//! | `lz4` | the compression format | |
//! | `dns` | names looked up by DNS on the loop, with a cache, in place of the system's threads: `DnsResolver` | hickory-proto |
//! | `futures-io` | connections as `AsyncRead` and `AsyncWrite`, for crates that need no runtime: `AsyncConnection` | futures-io |
//! | `processes` | child processes with further descriptors, or on a terminal of their own | command-fds, pty-process |
//! | `systemd` | listening sockets that systemd has opened, by index and by name (Linux) | sd-listen-fds |
//! | `serde` | endpoints in configuration files, as their text | serde_core |
//! | `hub` | publish and subscribe by topic, in one process or in many by Redis or NATS: `torsade::hub` | redis-protocol, serde_json |
//!
//! # Ten types to start with
//!
//! | type | what it is |
//! |---|---|
//! | [`Reactor`] | the loop: it runs, stops, and calls later |
//! | [`ReactorEndpoints`] | the reactor's `listen`, `connect` and `connect_protocol`, by [endpoints](manual::endpoints) (in the prelude, or import it); for one kind each [`ReactorTcp`], [`ReactorUnix`], [`ReactorUdp`], [`ReactorStdio`] and [`ReactorProcess`] |
//! | [`Protocol`] | the callbacks of one connection: what you write; [`DatagramProtocol`] for UDP, [`ProcessProtocol`] for a child process |
//! | [`Transport`] | the connection, to write to and to close; clone it and keep it |
//! | [`Factory`] | builds a protocol for each connection; a closure is one |
//! | [`ClientFactory`] | is also told of a connection that could not be made; a closure is one too |
//! | [`LineReceiver`] | lines instead of bytes, for a [`LineProtocol`]; likewise [`NetstringReceiver`], [`Int32StringReceiver`], and [`FrameReceiver`] for a [`Decoder`] of one's own |
//! | [`Reason`] | why a connection ended |
//! | [`Deferred`] | a value that comes later, by callbacks or `.await`; tasks by [`Transport::spawn`] and [`Reactor::spawn`] |
//! | [`Result`] | what callbacks return: any error closes that connection, and no other |
//!
//! `use torsade::prelude::*;` imports these and what else most programs need. Beside it there are [`policies`] (limits,
//! throttling, timeouts), [`testing`] and [`simulated`] (no sockets, no waiting), [`service`], [`wire`], and [`defer`].
//!
//! # The manual
//! Whoever has never seen an event loop begins with [the ladder](manual::tutorial): ten short programs, from a socket that echoes to a
//! tested chat over TLS in a network that is cut, with pictures and exercises.
//!
//! [Endpoints](manual::endpoints), [how connections close](manual::closing), [what bounds memory](manual::limits),
//! [compression](manual::compression), [many machines](manual::many_machines), [testing, in simulated networks too](manual::testing),
//! [the async ecosystem](manual::async_ecosystem), [speed](manual::speed), [the way of a byte](manual::way_of_a_byte),
//! [decisions, and deviations from Twisted](manual::decisions). For those who port a Twisted program: [what is called how](manual::twisted), and
//! [what a port does that the program did not](manual::porting). Twisted's names are found by searching this
//! documentation, too: `loseConnection`, `callLater`, `ReconnectingClientFactory`.
//!
//! # Examples, in the order of learning
//! In the package's `examples` folder, and run by `cargo run --example NAME` in a checkout: `echo_server`, `echo_client`,
//! `endpoint_echo`, `endpoint_cat`, `compressed_server`, `compressed_client`, `quickstart`, `chat_server`, `testing_a_protocol`,
//! `test_your_protocol`, `looping_call`, `async_client`, `blocking_work`, `memcached_parser`, `stdin_client`, `unix_echo_server`,
//! `udp_echo`, `multicast_chat`, `portforward`, `file_server`, `process_filter`, `make_keys`, `tls_echo_server`, `tls_echo_client`,
//! `starttls_server`, `starttls_client`, `mutual_tls`, `imap_client`, `mccp_server`, `ngircd_link`, `compress_tunnel`,
//! `torsade_dictionary`, `websocket_echo`, `simulated_chat`, `workers_chat`, `hub_lines`, `port_checker`, `cluster_chat`. And in `examples/twisted`, Twisted's own, the finger tutorial among them.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(missing_docs, missing_debug_implementations)]

pub mod manual;

#[cfg(feature = "hub")]
pub mod hub {
    //! Publish and subscribe by topic: in one process, in several through Redis, or through NATS; the same program for each.
    //!
    //! It begins with [`Hub`]. [The crate's own page](torsade_hub) has the way of a message, [`manual::many_machines`](crate::manual::many_machines)
    //! what is promised, by which engine, and what happens when something fails.

    pub use torsade_hub::*;
}
pub use torsade_protocols::*;
pub use torsade_reactor::*;
// Named one by one, since a glob loses which feature an item needs on its way to docs.rs.
#[cfg(feature = "futures-io")]
pub use torsade_transports::{AsyncConnection, AsyncProtocol, Incoming, ReactorAsync};
pub use torsade_transports::{
    ClientEndpoint, EncoderError, EndpointArguments, EndpointPrefixError, IntoEndpoint, Port, ProcessOutput, ReactorEndpoints,
    ReactorProcess, ReactorStdio, ReactorTcp, ReactorUdp, ReactorUnix, ServerEndpoint, StreamClientEndpoint,
    StreamServerEndpoint, conformance, content_coding, get_process_output, get_process_output_and_value, get_process_value,
    permessage_deflate, quote_string_argument, register_endpoint_parser, service,
};
#[cfg(feature = "dns")]
pub use torsade_transports::{DnsConfig, DnsResolver};
#[cfg(feature = "tls")]
pub use torsade_transports::{
    PrivateCertificate, ReactorTls, TlsClientConfig, TlsClientConfigBuilder, TlsConfigError, TlsServerConfig,
    TlsServerConfigBuilder, TlsWrappingFactory, TrustRoots, tls_wrapping_factory,
};

/// For those who extend Torsade: worlds, sources on the loop, connections and byte layers of their own. Programs need none of it.
pub mod spi {
    pub use torsade_protocols::spi::*;
    pub use torsade_reactor::spi::*;
}

/// What most programs import: `use torsade::prelude::*;`.
pub mod prelude {
    #[doc(no_inline)]
    pub use crate::{
        Address, ClientEndpoint, ClientFactory, Command, Compression, ConnectError, ConnectOptions, Connector, DatagramProtocol,
        DatagramTransport, Decoded, Decoder, Decompression, Deferred, DelayedCall, Detect, Factory, Failure, FileSender, Firer,
        Flush, Format, FrameError, FrameProtocol, FrameReceiver, FrameTransport, Host, HostPort, Int8StringReceiver,
        Int16StringReceiver, Int32StringReceiver, LineOnlyReceiver, LineProtocol, LineReceiver, LineTooLong, LineTransport,
        ListenError, ListenOptions, LoopingCall, NetstringReceiver, Port, PortForward, Process, ProcessProtocol, Producer,
        Protocol, Reactor, ReactorEndpoints, ReactorHandle, ReactorProcess, ReactorStdio, ReactorTcp, ReactorUdp, ReactorUnix,
        Reason, ReconnectingClientFactory, Result, ServerEndpoint, SharedBytes, StringFrameTransport, StringProtocol, Transport,
        Truncation, UnixName, policies::TimeoutMixin,
    };
    #[cfg(feature = "futures-io")]
    #[doc(no_inline)]
    pub use crate::{AsyncConnection, ReactorAsync};
    #[cfg(feature = "tls")]
    #[doc(no_inline)]
    pub use crate::{PrivateCertificate, ReactorTls, TlsClientConfig, TlsServerConfig, TrustRoots};
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
