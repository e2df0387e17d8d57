//! Torsade: a Twisted-style networking engine for Rust.
//!
//! One thread, one event loop, `connection_made` / `data_received` / `connection_lost` callbacks on [`Protocol`] objects
//! that a [`Factory`] builds, and a [`Transport`] that can switch on stream compression in mid-flight.
//!
//! ```no_run
//! use torsade::prelude::*;
//!
//! struct Echo;
//!
//! impl Protocol for Echo {
//!     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
//!         transport.write(data);
//!         Ok(())
//!     }
//! }
//!
//! fn main() -> Result {
//!     let reactor = Reactor::new()?;
//!     reactor.listen_tcp("127.0.0.1:8888", |_peer| Echo)?;
//!     reactor.run()
//! }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(missing_docs, missing_debug_implementations)]

pub mod manual;

pub use torsade_protocols::*;
pub use torsade_reactor::*;
pub use torsade_transports::*;
// Named, since a glob loses which feature they need on its way to docs.rs.
#[cfg(feature = "tls")]
pub use torsade_transports::{
    PrivateCertificate, ReactorTls, TlsClientConfig, TlsClientConfigBuilder, TlsConfigError, TlsServerConfig,
    TlsServerConfigBuilder, TlsWrappingFactory, TrustRoots, tls_wrapping_factory,
};

/// What most programs import: `use torsade::prelude::*;`.
pub mod prelude {
    #[doc(no_inline)]
    pub use crate::{
        Address, ClientFactory, Compression, ConnectError, Connector, Decoded, Decoder, Decompression, Deferred, DelayedCall,
        Detect, Factory, Failure, FileSender, Firer, Flush, Format, FrameError, FrameProtocol, FrameReceiver, FrameTransport,
        Host, HostPort, Int8StringReceiver, Int16StringReceiver, Int32StringReceiver, LineOnlyReceiver, LineProtocol,
        LineReceiver, LineTooLong, LineTransport, ListenError, LoopingCall, NetstringReceiver, Port, PortForward, Producer,
        Protocol, Reactor, ReactorHandle, ReactorTcp, Reason, ReconnectingClientFactory, Result, StringFrameTransport,
        StringProtocol, Transport, Truncation, policies::TimeoutMixin,
    };
    #[cfg(feature = "tls")]
    #[doc(no_inline)]
    pub use crate::{PrivateCertificate, ReactorTls, TlsClientConfig, TlsServerConfig, TrustRoots};
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
