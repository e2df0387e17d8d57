//! Layers between transport and protocol: limits, timeouts, throttling, logging, and custom ones.
//!
//! Each wraps any [`Factory`](crate::Factory) and is a factory itself, so they nest. Those that do not limit connections also
//! wrap a [`ClientFactory`](crate::ClientFactory). All callbacks pass through, including those of half-close.

mod limits;
mod throttling;
mod timeouts;
mod traffic_logging;
mod wrapper_connection;
mod wrapping;

pub use limits::{LimitConnectionsByPeer, LimitTotalConnectionsFactory};
pub use throttling::ThrottlingFactory;
pub use timeouts::{TimeoutFactory, TimeoutMixin};
pub use traffic_logging::TrafficLoggingFactory;
pub use wrapping::{ProtocolWrapper, WrappedProtocol, WrapperTransport, WrappingFactory};
