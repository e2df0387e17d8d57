//! The PROXY protocol, versions 1 and 2: a proxy begins each connection with a header that says whose connection it forwards.
//!
//! "The specification" here is <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>.

pub(crate) mod error;
pub(crate) mod factory;
pub(crate) mod header;
pub(crate) mod tlv;
mod v1;
mod v2;
