//! A Twisted-style networking engine: one thread, one event loop, and `connection_made` / `data_received` / `connection_lost`
//! called on [`Protocol`] objects that a [`Factory`] builds. Compression and TLS can be switched on while a connection is open.
//!
//! ```toml
//! [dependencies]
//! torsade = "0.1"
//! ```
//!
//! A line server that compresses its output. A Torsade client detects that by itself; any other client decompresses it with its
//! own zlib:
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
//! All are off by default, and none changes the behaviour of the others.
//!
//! | feature | brings | needs |
//! |---|---|---|
//! | `tls` | TLS on connections of every kind, from the start or in mid-stream | rustls with ring; a C compiler |
//! | `zstd` | the compression format | the C library, which it builds |
//! | `lz4` | the compression format | |
//! | `dns` | DNS look-ups on the loop, with a cache, instead of the system's resolver on threads: `DnsResolver` | hickory-proto |
//! | `futures-io` | connections as `AsyncRead` and `AsyncWrite`, for crates that need no runtime: `AsyncConnection` | futures-io |
//! | `processes` | child processes with additional descriptors, or on a terminal of their own | command-fds, pty-process |
//! | `systemd` | listening sockets passed by systemd, by index or name (Linux) | sd-listen-fds |
//! | `serde` | endpoints in configuration files, as text | serde_core |
//! | `hub` | publish and subscribe by topic, in one process or across many through Redis or NATS: `torsade::hub` | redis-protocol, serde_json |
//!
//! # Ten types to start with
//!
//! | type | what it is |
//! |---|---|
//! | [`Reactor`] | the event loop: run it, stop it, schedule calls |
//! | [`ReactorEndpoints`] | the reactor's `listen`, `connect` and `connect_protocol`, by [endpoint](manual::endpoints) (in the prelude, or import it); for specific kinds [`ReactorTcp`], [`ReactorUnix`], [`ReactorUdp`], [`ReactorStdio`] and [`ReactorProcess`] |
//! | [`Protocol`] | the callbacks of a connection, which you write; [`DatagramProtocol`] for UDP, [`ProcessProtocol`] for a child process |
//! | [`Transport`] | a connection, to write to and to close; can be cloned and kept |
//! | [`Factory`] | builds a protocol for each connection; a closure is one |
//! | [`ClientFactory`] | a factory that is also told when connecting fails; a closure is one too |
//! | [`LineReceiver`] | lines instead of bytes, for a [`LineProtocol`]; likewise [`NetstringReceiver`], [`Int32StringReceiver`], and [`FrameReceiver`] for a custom [`Decoder`] |
//! | [`Reason`] | why a connection ended |
//! | [`Deferred`] | a result that will arrive later, by callbacks or `.await`; start tasks with [`Transport::spawn`] and [`Reactor::spawn`] |
//! | [`Result`] | what callbacks return: an error closes that connection, and no other |
//!
//! `use torsade::prelude::*;` imports these and whatever else most programs need. There are also [`policies`] (limits,
//! throttling, timeouts), [`testing`] and [`simulated`] (no sockets, no waiting), [`service`], [`wire`], and [`defer`].
//!
//! # The manual
//! If event loops are new to you, begin with [the ladder](manual::tutorial): ten short programs, from a socket that echoes to a
//! tested chat over TLS in a network that is cut, with pictures and exercises.
//!
//! [Endpoints](manual::endpoints), [how connections close](manual::closing), [limits](manual::limits),
//! [compression](manual::compression), [many machines](manual::many_machines), [testing, also in simulated
//! networks](manual::testing), [the async ecosystem](manual::async_ecosystem), [performance](manual::speed), [the way of a
//! byte](manual::way_of_a_byte), [design decisions and deviations from Twisted](manual::decisions). For porting a Twisted
//! program: [Twisted's names and ours](manual::twisted), and [how a port behaves differently](manual::porting). Searching this
//! documentation for Twisted's names works, too: `loseConnection`, `callLater`, `ReconnectingClientFactory`.
//!
//! # Examples, in learning order
//! They are in the package's `examples` folder; run one with `cargo run --example NAME` in a checkout: `echo_server`,
//! `echo_client`, `endpoint_echo`, `endpoint_cat`, `compressed_server`, `compressed_client`, `quickstart`, `chat_server`,
//! `testing_a_protocol`, `test_your_protocol`, `looping_call`, `async_client`, `client_service`, `blocking_work`,
//! `memcached_parser`, `stdin_client`, `unix_echo_server`, `udp_echo`, `multicast_chat`, `portforward`, `file_server`,
//! `process_filter`, `make_keys`, `tls_echo_server`, `tls_echo_client`, `starttls_server`, `starttls_client`, `mutual_tls`,
//! `imap_client`, `mccp_server`, `ngircd_link`, `compress_tunnel`, `torsade_dictionary`, `websocket_echo`, `simulated_chat`,
//! `workers_chat`, `hub_lines`, `port_checker`, `cluster_chat`. And in `examples/twisted`, ports of Twisted's own, including the
//! finger tutorial.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(missing_docs, missing_debug_implementations)]

pub mod manual;

#[cfg(feature = "hub")]
pub mod hub {
    //! Publish and subscribe by topic, within one process or across several through Redis or NATS, with the same program.
    //!
    //! Start with [`Hub`]. [The crate's own page](torsade_hub) describes the path of a message, and
    //! [`manual::many_machines`](crate::manual::many_machines) what each engine promises and what happens on failures.

    pub use torsade_hub::*;
}
pub use torsade_protocols::*;
pub use torsade_reactor::*;
// Named individually, because with a glob docs.rs does not show which feature an item needs.
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

/// For extending Torsade: custom worlds, sources on the loop, connections and byte layers. Most programs need none of it.
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
