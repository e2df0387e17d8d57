//! The order of addresses.

use std::cmp::Reverse;
use std::net::{IpAddr, SocketAddr};

/// Sorts addresses by the precedence of RFC 6724, 2.1, which prefers IPv6 except where it is local or tunnelled through IPv4; the
/// sort is stable.
///
/// This is rule 6. The rules before it depend on the local address that would be used, which the attempts to connect find out: if
/// there is none, the next address is tried at once.
pub(super) fn sort(addresses: &mut [SocketAddr]) {
    addresses.sort_by_key(|address| Reverse(precedence(address.ip())));
}

/// The policy table of RFC 6724, 2.1.
fn precedence(ip: IpAddr) -> u8 {
    let IpAddr::V6(ip) = ip.to_canonical() else { return 35 };
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => 50,
        [0, 0, 0, 0, 0, 0, ..] | [0x3ffe, ..] => 1,
        [0x2002, ..] => 30,
        [0x2001, 0, ..] => 5,
        [first, ..] if first & 0xfe00 == 0xfc00 => 3,
        [first, ..] if first & 0xffc0 == 0xfec0 => 1,
        _ => 40,
    }
}
