//! The PROXY protocol, versions 1 and 2: a proxy says before all else whose connection it passes on.
//!
//! <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>, which "the specification" is here.

pub(crate) mod error;
pub(crate) mod factory;
pub(crate) mod header;
pub(crate) mod tlv;
mod v1;
mod v2;
