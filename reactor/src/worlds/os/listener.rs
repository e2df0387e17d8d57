//! Listening sockets of the system, and those of TCP.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;

use mio::Interest;
use mio::event::Source;
use socket2::{SockRef, Socket};

use super::stream::OsStream;
use super::{Registry, Reserve, tcp_socket};
use crate::address::Address;
use crate::backend::{Descriptor, ListenOptions, Listener, SocketOptions, Stream, Token};

/// Whether accepted sockets inherit [`Stream::nodelay`] from the listening one: they do on Linux and on systems derived from BSD.
const INHERITS: bool = cfg!(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_vendor = "apple"));

/// Whether they inherit all other options too. Elsewhere this was not tested, and options are set on each accepted socket.
const INHERITS_ALL: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// What differs between listening TCP and UNIX sockets.
pub(super) trait ListeningSocket {
    /// What the poll registers.
    fn source(&mut self) -> &mut dyn Source;

    /// Accepts the next waiting connection, as accept(2) does.
    fn accept(&self, registry: &Rc<Registry>) -> io::Result<(Box<dyn Stream>, Address)>;

    fn local_address(&self) -> io::Result<Address>;

    fn copy_descriptor(&self) -> io::Result<Descriptor>;
}

/// A listening socket of the system.
pub(super) struct OsListener<S: ListeningSocket> {
    socket: S,
    registry: Rc<Registry>,
    reserve: Rc<Reserve>,
}

impl<S: ListeningSocket> OsListener<S> {
    pub(super) const fn new(socket: S, registry: Rc<Registry>, reserve: Rc<Reserve>) -> Self {
        Self { socket, registry, reserve }
    }
}

/// A listening TCP socket.
pub(super) struct ListeningTcp {
    socket: mio::net::TcpListener,
    /// Whether [`Stream::nodelay`] has to be set on accepted sockets, because they may not have inherited it.
    sets_nodelay: Cell<bool>,
    /// Options to set on each accepted connection, because they are not inherited.
    options: Option<Box<SocketOptions>>,
}

impl ListeningTcp {
    pub(super) fn bind(address: SocketAddr, options: ListenOptions) -> io::Result<Self> {
        let listener = listen(socket(address)?, address, options)?;
        let listening = Self::adopt(listener, if INHERITS_ALL { SocketOptions::default() } else { options.socket })?;
        listening.sets_nodelay.set(!INHERITS);
        Ok(listening)
    }

    /// Takes over a listening socket. It may be shared, so options are set on each accepted connection instead.
    pub(super) fn adopt(listener: TcpListener, options: SocketOptions) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        SockRef::from(&listener).set_tcp_nodelay(true)?;
        let options = (options != SocketOptions::default()).then(|| Box::new(options));
        if let Some(options) = &options {
            let address = listener.local_addr()?;
            tcp_socket::set_options(&tcp_socket::open(address)?, address, options)?;
        }
        Ok(Self { socket: mio::net::TcpListener::from_std(listener), sets_nodelay: Cell::new(true), options })
    }
}

impl ListeningSocket for ListeningTcp {
    fn source(&mut self) -> &mut dyn Source {
        &mut self.socket
    }

    fn accept(&self, registry: &Rc<Registry>) -> io::Result<(Box<dyn Stream>, Address)> {
        let accepted = self.socket.accept();
        if matches!(&accepted, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            // All connections that were waiting before the option was set have been accepted.
            self.sets_nodelay.set(!INHERITS);
        }
        let (socket, peer) = accepted?;
        if self.sets_nodelay.get() {
            // This fails only if the peer has gone.
            socket.set_nodelay(true).ok();
        }
        if let Some(options) = &self.options {
            // These options could be set on a socket of this kind, so this fails only if the peer has gone.
            tcp_socket::set_options(&SockRef::from(&socket), peer, options).ok();
        }
        Ok((Box::new(OsStream::new(socket, Rc::clone(registry))), peer.into()))
    }

    fn local_address(&self) -> io::Result<Address> {
        self.socket.local_addr().map(Address::Tcp)
    }

    fn copy_descriptor(&self) -> io::Result<Descriptor> {
        super::copy_descriptor(&self.socket)
    }
}

/// Listens on an address that other sockets may share in the same way; for a reactor to adopt.
///
/// The system distributes connections among all sockets that listen there; see [`workers`](crate::workers) for the consequences.
/// Up to 1,024 connections wait to be accepted.
///
/// # Errors
/// Any system error: the address is not local, or is used by a socket that does not share it or that belongs to another user.
/// `Unsupported` on systems without `SO_REUSEPORT`.
#[doc(alias = "SO_REUSEPORT")]
pub fn reuse_port_listener(address: SocketAddr) -> io::Result<TcpListener> {
    listen(socket(address)?, address, ListenOptions { reuse_port: true, ..ListenOptions::default() })
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = tcp_socket::open(address)?;
    // A restarted server must get its port back while old connections are still in TIME_WAIT. On Windows the option means
    // something else: that others may take the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    Ok(socket)
}

fn listen(socket: Socket, address: SocketAddr, options: ListenOptions) -> io::Result<TcpListener> {
    tcp_socket::set_options(&socket, address, &options.socket)?;
    if let Some(only) = options.only_v6.filter(|_| address.is_ipv6()) {
        socket.set_only_v6(only)?;
    }
    if options.reuse_port {
        share_port(&socket, address)?;
    }
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

#[cfg(unix)]
fn share_port(socket: &Socket, _: SocketAddr) -> io::Result<()> {
    socket.set_reuse_port(true)
}

#[cfg(not(unix))]
fn share_port(_: &Socket, address: SocketAddr) -> io::Result<()> {
    let text = format!("this system cannot share {address} among sockets: pass one socket on");
    Err(io::Error::new(io::ErrorKind::Unsupported, text))
}

impl<S: ListeningSocket> Drop for OsListener<S> {
    /// Deregisters the socket. The poll would forget it by itself only if nothing else held the same socket; otherwise it would
    /// continue to be woken for others' connections, and the socket could not be adopted again.
    fn drop(&mut self) {
        if !self.registry.is_forked() {
            // This fails only if it was never registered.
            self.registry.deregister(self.socket.source()).ok();
        }
    }
}

impl<S: ListeningSocket> Listener for OsListener<S> {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.registry.register(self.socket.source(), mio::Token(token.to_usize()), Interest::READABLE)
    }

    fn accept(&self) -> io::Result<(Box<dyn Stream>, Address)> {
        self.socket.accept(&self.registry).map_err(classify)
    }

    fn refuse(&self) -> io::Result<()> {
        // Without a reserve, this accept fails for lack of a descriptor, as the previous one did.
        self.reserve.release();
        let refused = self.socket.accept(&self.registry).map(drop);
        // The reserve gets the descriptor that was just closed, before another accept takes it.
        self.reserve.refill();
        refused.map_err(classify)
    }

    fn local_address(&self) -> io::Result<Address> {
        self.socket.local_address()
    }

    fn copy_descriptor(&self) -> io::Result<Descriptor> {
        self.socket.copy_descriptor()
    }
}

/// Errors of accept(2) for want of descriptors or memory.
#[cfg(unix)]
const SHORTAGES: &[i32] = &[libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
/// WSAEMFILE and WSAENOBUFS.
#[cfg(not(unix))]
const SHORTAGES: &[i32] = &[10024, 10055];

/// Errors that concern only the connection being accepted. accept(2): "treat them like EAGAIN by retrying". EPERM comes from a
/// firewall.
#[cfg(unix)]
const OF_ONE_CONNECTION: &[i32] = &[
    libc::ECONNABORTED,
    libc::ECONNRESET,
    libc::EHOSTDOWN,
    libc::EHOSTUNREACH,
    #[cfg(target_os = "linux")]
    libc::ENONET,
    libc::ENETDOWN,
    libc::ENETUNREACH,
    libc::ENOPROTOOPT,
    libc::EOPNOTSUPP,
    libc::EPERM,
    libc::EPROTO,
    libc::ETIMEDOUT,
];
/// WSAECONNRESET.
#[cfg(not(unix))]
const OF_ONE_CONNECTION: &[i32] = &[10054];

/// Maps an error of accept(2) to the kinds promised by [`Listener::accept`].
fn classify(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(number) if SHORTAGES.contains(&number) => io::Error::new(io::ErrorKind::QuotaExceeded, error),
        Some(number) if OF_ONE_CONNECTION.contains(&number) => io::Error::new(io::ErrorKind::ConnectionAborted, error),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_one_connection_is_told_from_a_lack_of_descriptors_and_from_an_error_of_the_socket() {
        let kind = |number| classify(io::Error::from_raw_os_error(number)).kind();
        for number in [libc::EPROTO, libc::ENETDOWN, libc::EHOSTDOWN, libc::ENOPROTOOPT, libc::EOPNOTSUPP, libc::ENETUNREACH] {
            assert_eq!(kind(number), io::ErrorKind::ConnectionAborted, "{number}");
        }
        assert_eq!(kind(libc::EMFILE), io::ErrorKind::QuotaExceeded);
        assert_eq!(kind(libc::EAGAIN), io::ErrorKind::WouldBlock);
        assert_eq!(kind(libc::EINTR), io::ErrorKind::Interrupted);
        assert_ne!(kind(libc::EBADF), io::ErrorKind::ConnectionAborted);
    }
}
