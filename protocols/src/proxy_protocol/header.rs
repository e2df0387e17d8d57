//! A PROXY header as a value.

use crate::address::Address;
use crate::proxy_protocol::error::ProxyHeaderError;
use crate::proxy_protocol::tlv::Tlv;
use crate::proxy_protocol::{v1, v2};
use crate::transport::Transport;

/// A version of the PROXY header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the specification has two")]
pub enum ProxyVersion {
    /// A line of text, for TCP only and without TLVs.
    V1,
    /// Binary, with a checksum. TLVs that do not fit into 65,535 bytes are left out.
    V2,
}

/// A PROXY header: whose connection a proxy forwards, and what else it knows about it.
///
/// # Examples
/// ```
/// use torsade::{Address, ProxyHeader, ProxyVersion};
///
/// let (header, length) = ProxyHeader::parse(b"PROXY TCP4 192.0.2.1 198.51.100.7 49152 443\r\nGET /")?.expect("it is whole");
/// assert_eq!((header.source(), length), (&Address::Tcp("192.0.2.1:49152".parse()?), 45));
/// assert_eq!(ProxyHeader::parse(&header.to_bytes(ProxyVersion::V2))?.map(|(header, _)| header), Some(header));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[doc(alias = "IProxyInfo")]
pub struct ProxyHeader {
    source: Address,
    destination: Address,
    tlvs: Vec<Tlv>,
}

impl ProxyHeader {
    /// A header for a connection from `source` to `destination`.
    ///
    /// Both have to be of TCP over the same IP version, both of UDP, or both UNIX sockets. Anything else is sent as "unknown",
    /// and the receiver uses the addresses of the connection itself.
    #[must_use]
    pub fn new(source: impl Into<Address>, destination: impl Into<Address>) -> Self {
        Self { source: source.into(), destination: destination.into(), tlvs: Vec::new() }
    }

    /// A header for a connection that the proxy makes for itself, such as a health check (`LOCAL`).
    #[must_use]
    pub fn local() -> Self {
        Self::new(Address::Unnamed, Address::Unnamed)
    }

    /// A header for the connection of `transport`, with its addresses.
    #[must_use]
    pub fn of(transport: &Transport) -> Self {
        Self::new(transport.peer(), transport.host())
    }

    /// Adds a TLV; version 2 only.
    #[must_use]
    pub fn with_tlv(mut self, tlv: Tlv) -> Self {
        self.tlvs.push(tlv);
        self
    }

    /// The address that connected to the proxy; [`Address::Unnamed`] if the proxy connected for itself or does not say.
    #[must_use]
    pub const fn source(&self) -> &Address {
        &self.source
    }

    /// The address it connected to.
    #[must_use]
    pub const fn destination(&self) -> &Address {
        &self.destination
    }

    /// The TLVs, in the order on the wire.
    #[must_use]
    pub fn tlvs(&self) -> &[Tlv] {
        &self.tlvs
    }

    /// The value of the first TLV of this [kind](Tlv).
    #[must_use]
    pub fn tlv(&self, kind: u8) -> Option<&[u8]> {
        self.tlvs.iter().find(|tlv| tlv.kind == kind).map(|tlv| &*tlv.value)
    }

    /// Parses a header at the beginning of `data`. Returns it and its length, or `None` if it is incomplete.
    ///
    /// # Errors
    /// [`ProxyHeaderError`]. At most 4,096 bytes are read.
    pub fn parse(data: &[u8]) -> Result<Option<(Self, usize)>, ProxyHeaderError> {
        let begins = |mark: &[u8]| data.starts_with(mark) || mark.starts_with(data);
        match () {
            () if begins(v1::MARK) => v1::parse(data),
            () if begins(v2::SIGNATURE) => v2::parse(data),
            () => Err(ProxyHeaderError::Absent),
        }
    }

    /// The bytes to send before anything else.
    #[must_use]
    pub fn to_bytes(&self, version: ProxyVersion) -> Vec<u8> {
        match version {
            ProxyVersion::V1 => v1::write(self),
            ProxyVersion::V2 => v2::write(self),
        }
    }
}
