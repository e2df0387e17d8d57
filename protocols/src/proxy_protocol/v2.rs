//! Version 2: binary, with TLVs (the specification, 2.2).

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use crate::address::{Address, UnixName};
use crate::proxy_protocol::error::ProxyHeaderError;
use crate::proxy_protocol::header::ProxyHeader;
use crate::proxy_protocol::tlv::Tlv;

pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The signature, the version, command and family, and the length of the rest.
const FIXED: usize = 16;

/// Room for forwarded certificates; the specification requires 536.
const LONGEST: usize = 4096;

/// The length of a UNIX socket's name, padded with zeros.
const UNIX_LENGTH: usize = 108;

const PROXY: u8 = 0x21;
const LOCAL: u8 = 0x20;

/// Address families combined with stream (1) or datagram (2).
const UNSPECIFIED: u8 = 0x00;
const INET: u8 = 0x10;
const INET6: u8 = 0x20;
const UNIX: u8 = 0x30;
const STREAM: u8 = 0x01;
const DATAGRAM: u8 = 0x02;

/// Parses a header. Returns it and its length, or `None` if it is incomplete.
pub(super) fn parse(data: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyHeaderError> {
    let Some(fixed) = data.first_chunk::<FIXED>() else { return Ok(None) };
    let [.., command, family, high, low] = *fixed;
    if !matches!(command, PROXY | LOCAL) {
        return Err(ProxyHeaderError::Malformed("it is neither a PROXY nor a LOCAL command of version 2"));
    }
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST {
        return Err(ProxyHeaderError::TooLong(LONGEST));
    }
    let Some(whole) = data.get(..length) else { return Ok(None) };
    let (addresses, tlvs) = match command {
        // "The receiver must accept this connection as valid and must use the real connection endpoints."
        LOCAL => ((Address::Unnamed, Address::Unnamed), &[][..]),
        _ => read_addresses(family, &whole[FIXED..])?,
    };
    let mut header = ProxyHeader::new(addresses.0, addresses.1);
    let mut rest = tlvs;
    while !rest.is_empty() {
        let offset = length - rest.len();
        let tlv = Tlv::take(&mut rest).ok_or(ProxyHeaderError::Malformed("a TLV is longer than the rest of it"))?;
        match tlv.kind {
            Tlv::CRC32C => check(whole, offset, &tlv.value)?,
            Tlv::NOOP => {}
            _ => header = header.with_tlv(tlv),
        }
    }
    Ok(Some((header, length)))
}

/// Checks the checksum, which covers the whole header with zeros in place of the checksum itself.
fn check(whole: &[u8], offset: usize, value: &[u8]) -> Result<(), ProxyHeaderError> {
    let given: [u8; 4] = value.try_into().map_err(|_| ProxyHeaderError::Malformed("its checksum is not 4 bytes long"))?;
    let mut zeroed = whole.to_vec();
    zeroed.iter_mut().skip(offset + 3).take(4).for_each(|byte| *byte = 0);
    if checksum(&zeroed) == u32::from_be_bytes(given) { Ok(()) } else { Err(ProxyHeaderError::Checksum) }
}

fn checksum(bytes: &[u8]) -> u32 {
    const CRC32C: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
    CRC32C.checksum(bytes)
}

type Addresses = (Address, Address);

/// Parses the addresses. Returns them and what follows.
fn read_addresses(family: u8, mut rest: &[u8]) -> Result<(Addresses, &[u8]), ProxyHeaderError> {
    let short = || ProxyHeaderError::Malformed("it is too short for its addresses");
    let kind = |address| if family & 0x0f == DATAGRAM { Address::Udp(address) } else { Address::Tcp(address) };
    let addresses = match (family & 0xf0, family & 0x0f) {
        (UNSPECIFIED, 0) => (Address::Unnamed, Address::Unnamed),
        (INET, STREAM | DATAGRAM) => {
            let (from, to) = read_ips::<4>(&mut rest).ok_or_else(short)?;
            (kind(from), kind(to))
        }
        (INET6, STREAM | DATAGRAM) => {
            let (from, to) = read_ips::<16>(&mut rest).ok_or_else(short)?;
            (kind(from), kind(to))
        }
        (UNIX, STREAM | DATAGRAM) => {
            let mut name = || take::<UNIX_LENGTH>(&mut rest).map(|bytes| read_name(&bytes));
            (name().ok_or_else(short)?, name().ok_or_else(short)?)
        }
        _ => return Err(ProxyHeaderError::Malformed("its family or transport is not in the specification")),
    };
    Ok((addresses, rest))
}

fn take<const LENGTH: usize>(rest: &mut &[u8]) -> Option<[u8; LENGTH]> {
    let (bytes, behind) = rest.split_first_chunk::<LENGTH>()?;
    *rest = behind;
    Some(*bytes)
}

fn read_ips<const LENGTH: usize>(rest: &mut &[u8]) -> Option<(SocketAddr, SocketAddr)>
where
    IpAddr: From<[u8; LENGTH]>,
{
    let (from, to) = (IpAddr::from(take::<LENGTH>(rest)?), IpAddr::from(take::<LENGTH>(rest)?));
    let ports = (u16::from_be_bytes(take::<2>(rest)?), u16::from_be_bytes(take::<2>(rest)?));
    Some((SocketAddr::new(from, ports.0), SocketAddr::new(to, ports.1)))
}

/// A path ends at the first zero. An abstract name begins with a zero, and its trailing zeros are padding.
fn read_name(bytes: &[u8]) -> Address {
    let (skip, end) = match bytes {
        [0, ..] => (1, bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)),
        _ => (0, bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len())),
    };
    let name = bytes.get(skip..end).unwrap_or_default();
    match skip {
        _ if name.is_empty() => Address::Unnamed,
        0 => UnixName::Path(path(name)).into(),
        _ => UnixName::Abstract(name.to_vec()).into(),
    }
}

#[cfg(unix)]
fn path(name: &[u8]) -> PathBuf {
    <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name).into()
}

/// A UNIX path cannot be represented on other systems.
#[cfg(not(unix))]
fn path(name: &[u8]) -> PathBuf {
    String::from_utf8_lossy(name).into_owned().into()
}

pub(super) fn write(header: &ProxyHeader) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    let (family, addresses) = write_addresses(header.source(), header.destination());
    let is_local = (header.source(), header.destination()) == (&Address::Unnamed, &Address::Unnamed);
    bytes.extend([if is_local && header.tlvs().is_empty() { LOCAL } else { PROXY }, family, 0, 0]);
    bytes.extend(addresses);
    // The checksum's TLV comes last.
    let room = FIXED + usize::from(u16::MAX) - 7;
    for tlv in header.tlvs() {
        if bytes.len() + 3 + tlv.value.len() <= room {
            tlv.append(&mut bytes);
        }
    }
    Tlv::new(Tlv::CRC32C, [0; 4]).append(&mut bytes);
    let length = u16::try_from(bytes.len() - FIXED).unwrap_or(u16::MAX);
    bytes[FIXED - 2..FIXED].copy_from_slice(&length.to_be_bytes());
    let sum = checksum(&bytes);
    let offset = bytes.len() - 4;
    bytes[offset..].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// Returns the byte for the family, and the addresses.
fn write_addresses(source: &Address, destination: &Address) -> (u8, Vec<u8>) {
    match (source, destination) {
        (Address::Tcp(from), Address::Tcp(to)) => write_ips(STREAM, *from, *to),
        (Address::Udp(from), Address::Udp(to)) => write_ips(DATAGRAM, *from, *to),
        (Address::Unix(_), Address::Unix(_) | Address::Unnamed) | (Address::Unnamed, Address::Unix(_)) => {
            (UNIX | STREAM, [source, destination].into_iter().flat_map(write_name).collect())
        }
        _ => (UNSPECIFIED, Vec::new()),
    }
}

fn write_ips(transport: u8, from: SocketAddr, to: SocketAddr) -> (u8, Vec<u8>) {
    let mut bytes = Vec::new();
    let family = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            bytes.extend(from.octets().into_iter().chain(to.octets()));
            INET
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            bytes.extend(from.octets().into_iter().chain(to.octets()));
            INET6
        }
        _ => return (UNSPECIFIED, bytes),
    };
    bytes.extend(from.port().to_be_bytes().into_iter().chain(to.port().to_be_bytes()));
    (family | transport, bytes)
}

fn write_name(address: &Address) -> [u8; UNIX_LENGTH] {
    let mut bytes = [0; UNIX_LENGTH];
    let (skip, name) = match address {
        Address::Unix(UnixName::Path(path)) => (0, path.as_os_str().as_encoded_bytes()),
        Address::Unix(UnixName::Abstract(name)) => (1, &**name),
        _ => (0, &[][..]),
    };
    for (target, byte) in bytes.iter_mut().skip(skip).zip(name) {
        *target = *byte;
    }
    bytes
}
