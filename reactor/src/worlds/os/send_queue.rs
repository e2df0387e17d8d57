//! How much of what was written to a TCP socket its peer has not acknowledged.
//!
//! Linux reports it by `ioctl(SIOCOUTQ)`, for which no library has a safe call, and by netlink, with plain messages:
//! `NETLINK_SOCK_DIAG`, sock_diag(7).

use std::io::Read;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

const AF_NETLINK: i32 = 16;
const NETLINK_SOCK_DIAG: i32 = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;

/// The length of `nlmsghdr`, with which each message begins; the question continues with `inet_diag_req_v2`.
const HEADER: usize = 16;
const QUESTION: usize = HEADER + 56;

/// The offset of `idiag_wqueue` in the answer: after the header, four small fields, the socket's addresses (48 bytes), and two
/// fields of four bytes.
const SEND_QUEUE: usize = HEADER + 4 + 48 + 8;

/// The bytes written to the TCP socket with these addresses and not acknowledged; a FIN counts as one. `None` if the system does
/// not tell: netlink is forbidden, no descriptor is left, or the connection no longer exists.
pub(super) fn send_queue(local: SocketAddr, peer: SocketAddr) -> Option<usize> {
    let kind = Type::DGRAM.nonblocking();
    let mut socket = Socket::new(Domain::from(AF_NETLINK), kind, Some(Protocol::from(NETLINK_SOCK_DIAG))).ok()?;
    socket.send(&question(local, peer)).ok()?;
    // The kernel has already answered during the call above.
    let mut answer = [0; 512];
    let length = socket.read(&mut answer).ok()?;
    parse(answer.get(..length)?)
}

/// A request for the socket with these addresses. Numbers are in the machine's byte order, ports in network byte order.
fn question(local: SocketAddr, peer: SocketAddr) -> Vec<u8> {
    let (family, link) = match local {
        SocketAddr::V4(_) => (AF_INET, 0),
        SocketAddr::V6(address) => (AF_INET6, address.scope_id()),
    };
    let mut message = Vec::with_capacity(QUESTION);
    message.extend((QUESTION as u32).to_ne_bytes());
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend([0; 8]); // a number for the question, and who asks: neither matters with one of each
    message.extend([family, IPPROTO_TCP, 0, 0]);
    message.extend(u32::MAX.to_ne_bytes()); // in whatever state it is
    message.extend(local.port().to_be_bytes());
    message.extend(peer.port().to_be_bytes());
    message.extend(address_bytes(local.ip()));
    message.extend(address_bytes(peer.ip()));
    message.extend(link.to_ne_bytes());
    message.extend([0xff; 8]); // no cookie
    message
}

fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&address.octets());
            bytes
        }
        IpAddr::V6(address) => address.octets(),
    }
}

fn parse(answer: &[u8]) -> Option<usize> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let queued = u32::from_ne_bytes(answer.get(SEND_QUEUE..SEND_QUEUE + 4)?.try_into().ok()?);
    (kind == SOCK_DIAG_BY_FAMILY).then_some(queued as usize)
}

#[cfg(test)]
#[expect(clippy::print_stderr, reason = "says what is skipped")]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn queue_of(socket: &TcpStream) -> Option<usize> {
        send_queue(socket.local_addr().unwrap(), socket.peer_addr().unwrap())
    }

    fn check_on(address: &str) {
        let listener = TcpListener::bind(address).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        if queue_of(&server).is_none() {
            eprintln!("skipped: netlink reports no sockets here");
            return;
        }
        server.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(count) = server.write(&[b'x'; 65_536]) {
            written += count;
        }
        let left = queue_of(&server).unwrap();
        assert!(0 < left && left < written, "{left} of {written} bytes: the peer's system has some, and not all");
        server.shutdown(std::net::Shutdown::Write).unwrap();
        let mut all = Vec::new();
        assert_eq!(client.read_to_end(&mut all).unwrap(), written);
        // A socket that has read the end has acknowledged it, or is about to.
        while queue_of(&server) != Some(0) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_send_queue_is_what_the_peer_has_not_acknowledged() {
        check_on("127.0.0.1:0");
    }

    #[test]
    fn the_send_queue_is_also_reported_over_ipv6() {
        if TcpListener::bind("[::1]:0").is_err() {
            eprintln!("skipped: there is no IPv6 here");
            return;
        }
        check_on("[::1]:0");
    }

    #[test]
    fn an_error_for_an_answer_tells_nothing() {
        let mut answer = [0; 128];
        answer[4] = 2; // NLMSG_ERROR
        assert_eq!(parse(&answer), None);
        assert_eq!(parse(b""), None);
    }
}
