//! Layers between transports and protocols: limits, timeouts, throttling, logs, and users' own.
//!
//! Each wraps any [`Factory`](crate::Factory), and the result is one again, so they nest; those that do not limit who may
//! connect wrap a [`ClientFactory`](crate::ClientFactory) as well. All callbacks pass through, the half-close ones as well.

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
