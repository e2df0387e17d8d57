//! Additional information about a connection, as type-length-value entries (version 2).

/// A piece of information in a [`ProxyHeader`](crate::ProxyHeader): a kind, and a value as bytes.
///
/// Kinds `E0` to `EF` are free for custom use. Checksums and padding are not kept, as they carry no information.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the specification's type and value")]
pub struct Tlv {
    /// The kind.
    pub kind: u8,
    /// The value.
    pub value: Vec<u8>,
}

impl Tlv {
    /// The application protocol of the connection (ALPN), such as `h2`.
    pub const ALPN: u8 = 0x01;
    /// The host name that the client asked for (SNI), in UTF-8.
    pub const AUTHORITY: u8 = 0x02;
    pub(super) const CRC32C: u8 = 0x03;
    pub(super) const NOOP: u8 = 0x04;
    /// The name of the network namespace, in US-ASCII.
    pub const NETNS: u8 = 0x30;
    /// Details of the client's TLS: see [`ProxySsl`].
    pub const SSL: u8 = 0x20;
    /// An identifier of the connection, of at most 128 bytes.
    pub const UNIQUE_ID: u8 = 0x05;

    /// Makes a TLV.
    #[must_use]
    pub fn new(kind: u8, value: impl Into<Vec<u8>>) -> Self {
        Self { kind, value: value.into() }
    }

    /// Takes the first TLV from the front of `rest`; `None` if it is incomplete.
    pub(super) fn take(rest: &mut &[u8]) -> Option<Self> {
        let (head, behind) = rest.split_first_chunk::<3>()?;
        let (value, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes([head[1], head[2]])))?;
        *rest = behind;
        Some(Self::new(head[0], value))
    }

    /// Appends the TLV if its length fits in two bytes.
    pub(super) fn append(&self, bytes: &mut Vec<u8>) {
        if let Ok(length) = u16::try_from(self.value.len()) {
            bytes.push(self.kind);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(&self.value);
        }
    }
}

/// Details of the TLS between proxy and client, from a TLV of kind [`Tlv::SSL`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ProxySsl {
    /// Whether the client connected over TLS.
    pub is_tls: bool,
    /// Whether the client presented a certificate, in this connection or in the session that it resumes.
    pub has_certificate: bool,
    /// Whether the certificate was presented and verified.
    pub is_verified: bool,
    /// The version, such as `TLSv1.3`.
    pub version: Option<String>,
    /// The common name of the client's certificate.
    pub common_name: Option<String>,
    /// The cipher, such as `ECDHE-RSA-AES128-GCM-SHA256`.
    pub cipher: Option<String>,
}

impl ProxySsl {
    /// Parses the value; `None` if it violates the specification.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (&client, rest) = value.split_first()?;
        let (verify, mut rest) = rest.split_first_chunk::<4>()?;
        let has_certificate = client & 0x06 != 0;
        let mut ssl = Self {
            is_tls: client & 0x01 != 0,
            has_certificate,
            is_verified: has_certificate && *verify == [0; 4],
            version: None,
            common_name: None,
            cipher: None,
        };
        while !rest.is_empty() {
            let tlv = Tlv::take(&mut rest)?;
            let text = String::from_utf8(tlv.value).ok();
            match tlv.kind {
                0x21 => ssl.version = text,
                0x22 => ssl.common_name = text,
                0x23 => ssl.cipher = text,
                _ => {}
            }
        }
        Some(ssl)
    }
}
