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

#![warn(missing_docs, missing_debug_implementations)]

pub mod manual;

pub use torsade_protocols::*;
pub use torsade_reactor::*;
pub use torsade_transports::*;

/// What most programs import: `use torsade::prelude::*;`.
pub mod prelude {
    pub use torsade_protocols::{
        Address, ClientFactory, Compression, ConnectError, Connector, Decompression, Detect, Factory, FileSender, Flush, Format,
        FrameProtocol, FrameReceiver, FrameTransport, Int8StringReceiver, Int16StringReceiver, Int32StringReceiver,
        LineOnlyReceiver, LineProtocol, LineReceiver, LineTooLong, LineTransport, ListenError, NetstringReceiver, PortForward,
        Producer, Protocol, Reason, ReconnectingClientFactory, StringFrameTransport, StringProtocol, Transport,
    };
    pub use torsade_reactor::{Deferred, DelayedCall, LoopingCall, Reactor, Result};
    pub use torsade_transports::{Port, ReactorTcp};
    #[cfg(feature = "tls")]
    pub use torsade_transports::{ReactorTls, TlsClientConfig, TlsServerConfig, TrustRoots};
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
