//! A PROXY header as a value.

use crate::address::Address;
use crate::proxy_protocol::error::ProxyHeaderError;
use crate::proxy_protocol::tlv::Tlv;
use crate::proxy_protocol::{v1, v2};
use crate::transport::Transport;

/// How a PROXY header is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the specification has two")]
pub enum ProxyVersion {
    /// As a line of text, for TCP only and without TLVs.
    V1,
    /// In binary, with a checksum. TLVs that do not fit into 65,535 bytes are left out.
    V2,
}

/// What a proxy says of a connection that it passes on: whose it is, and what else it knows.
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
    /// Of a connection from `source` to `destination`.
    ///
    /// Both of TCP over the same IP version, of UDP, or both of UNIX sockets; anything else is sent as "unknown", and the
    /// receiver goes by the addresses of the connection itself.
    #[must_use]
    pub fn new(source: impl Into<Address>, destination: impl Into<Address>) -> Self {
        Self { source: source.into(), destination: destination.into(), tlvs: Vec::new() }
    }

    /// Of a connection that the proxy makes for itself, to see whether the server is well (`LOCAL`).
    #[must_use]
    pub fn local() -> Self {
        Self::new(Address::Unnamed, Address::Unnamed)
    }

    /// Of the connection that `transport` has, with the addresses that it says.
    #[must_use]
    pub fn of(transport: &Transport) -> Self {
        Self::new(transport.peer(), transport.host())
    }

    /// The same, with one more piece of information; version 2 only.
    #[must_use]
    pub fn with_tlv(mut self, tlv: Tlv) -> Self {
        self.tlvs.push(tlv);
        self
    }

    /// Who has connected to the proxy; [`Address::Unnamed`] if the proxy has for itself, or does not say.
    #[must_use]
    pub const fn source(&self) -> &Address {
        &self.source
    }

    /// What was connected to.
    #[must_use]
    pub const fn destination(&self) -> &Address {
        &self.destination
    }

    /// What else it says, in the order of the wire.
    #[must_use]
    pub fn tlvs(&self) -> &[Tlv] {
        &self.tlvs
    }

    /// The value of the first TLV of this [kind](Tlv).
    #[must_use]
    pub fn tlv(&self, kind: u8) -> Option<&[u8]> {
        self.tlvs.iter().find(|tlv| tlv.kind == kind).map(|tlv| &*tlv.value)
    }

    /// Reads a header from the beginning of `data`, and says how long it is; none if more has to come.
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

    /// As it is sent, before all else.
    #[must_use]
    pub fn to_bytes(&self, version: ProxyVersion) -> Vec<u8> {
        match version {
            ProxyVersion::V1 => v1::write(self),
            ProxyVersion::V2 => v2::write(self),
        }
    }
}
