//! Version 1: a line of text (the specification, 2.1).

use std::net::SocketAddr;

use crate::address::Address;
use crate::proxy_protocol::error::ProxyHeaderError;
use crate::proxy_protocol::header::ProxyHeader;

pub(super) const MARK: &[u8] = b"PROXY ";

/// "a 108-byte buffer is always enough to store all the line and a trailing zero".
const LONGEST: usize = 107;

/// The family of anything but two TCP addresses.
const UNKNOWN: &str = "UNKNOWN";

/// Parses a line. Returns the header and its length, or `None` if the line is incomplete.
pub(super) fn parse(data: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyHeaderError> {
    let beginning = data.get(..LONGEST).unwrap_or(data);
    let Some(length) = beginning.windows(2).position(|end| end == b"\r\n") else {
        return if beginning.len() < LONGEST { Ok(None) } else { Err(ProxyHeaderError::TooLong(LONGEST)) };
    };
    let line = str::from_utf8(&beginning[..length]).map_err(|_| ProxyHeaderError::Malformed("it is not text"))?;
    Ok(Some((parse_line(line)?, length + 2)))
}

fn parse_line(line: &str) -> Result<ProxyHeader, ProxyHeaderError> {
    let fields: Vec<&str> = line.split(' ').collect();
    // Anything after "UNKNOWN" is to be ignored.
    if let [_, UNKNOWN, ..] = fields[..] {
        return Ok(ProxyHeader::local());
    }
    let [_, family, source, destination, source_port, destination_port] = fields[..] else {
        return Err(ProxyHeaderError::Malformed("it does not have two addresses and two ports"));
    };
    let is_ipv4 = match family {
        "TCP4" => true,
        "TCP6" => false,
        _ => return Err(ProxyHeaderError::Malformed("its family is not TCP4, TCP6 or UNKNOWN")),
    };
    let end = |ip: &str, port: &str| {
        let address = SocketAddr::new(ip.parse().ok()?, parse_port(port)?);
        (address.is_ipv4() == is_ipv4).then_some(Address::Tcp(address))
    };
    let of_family = || ProxyHeaderError::Malformed("an address or a port is not valid for its family");
    Ok(ProxyHeader::new(
        end(source, source_port).ok_or_else(of_family)?,
        end(destination, destination_port).ok_or_else(of_family)?,
    ))
}

/// "Leading zeroes are not permitted in order to avoid any possible confusion with octal numbers."
fn parse_port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

pub(super) fn write(header: &ProxyHeader) -> Vec<u8> {
    let line = match (header.source(), header.destination()) {
        (Address::Tcp(source), Address::Tcp(destination)) if source.is_ipv4() == destination.is_ipv4() => {
            let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, to) = (source.ip(), destination.ip());
            format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port())
        }
        _ => format!("PROXY {UNKNOWN}\r\n"),
    };
    line.into_bytes()
}
