//! UNIX stream sockets of the system, unix(7).
//!
//! Written bytes are in the peer's buffer at once, so closing never takes them back: there are no acknowledgements and no resets.
//! Closing with unread input gives the peer ECONNRESET, after everything written to it.

use std::io::{self, ErrorKind, IoSlice};
use std::net::Shutdown;
use std::rc::Rc;

use mio::Interest;
use mio::event::Source;
use socket2::{Domain, SockRef, Socket, Type};

use super::Registry;
use super::listener::ListeningSocket;
use super::passing::Passing;
use super::socket_file::SocketFile;
use super::stream::{EDGES, OpenStream, OsStream};
use super::unix_name::to_system;
use crate::address::{Address, UnixName};
use crate::backend::{Descriptor, Direction, ListenOptions, PeerCredentials, Stream, TcpOptions, Token, UnixSocket};

pub(super) struct UnixStream {
    socket: mio::net::UnixStream,
    registry: Rc<Registry>,
    passing: Passing,
    _open: OpenStream,
}

impl UnixStream {
    pub(super) fn new(socket: mio::net::UnixStream, registry: Rc<Registry>) -> Self {
        Self { socket, registry, passing: Passing::default(), _open: OpenStream::new() }
    }

    /// Connects, which does not take any time.
    ///
    /// # Errors
    /// `WouldBlock` if the listener's backlog is full; `ConnectionRefused` if nothing listens and only the file is left.
    pub(super) fn connect(name: &UnixName, registry: Rc<Registry>) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&to_system(name)?).map_err(explain_connect)?;
        let socket = std::os::unix::net::UnixStream::from(std::os::fd::OwnedFd::from(socket));
        Ok(Self::new(mio::net::UnixStream::from_std(socket), registry))
    }
}

impl Stream for UnixStream {
    fn direction(&self) -> Direction {
        Direction::Both
    }

    fn register(&mut self, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut self.socket, mio::Token(token.to_usize()), interest)
    }

    fn is_connected(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn short_io_ends_edge(&self) -> bool {
        EDGES
    }

    fn pause(&self) {}

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // mio has to see a `WouldBlock` where only that requests another report.
        self.socket.try_io(|| self.passing.read(&self.socket, buffer))
    }

    fn write(&self, data: &[u8]) -> io::Result<usize> {
        self.socket.try_io(|| self.passing.write(&self.socket, data))
    }

    fn write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.try_io(|| self.passing.write_vectored(&self.socket, pieces))
    }

    #[cfg(target_os = "linux")]
    fn send_file(&self, file: &std::fs::File, limit: usize) -> io::Result<Option<usize>> {
        if self.passing.holds_any() {
            // Descriptors are sent with bytes that are written.
            return Ok(None);
        }
        self.socket.try_io(|| super::sending_files::send_file(&self.socket, file, limit))
    }

    fn unacknowledged(&self) -> Option<usize> {
        Some(0)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    fn reset_on_close(&self) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    /// A peer that is still writing would get EPIPE, and most often SIGPIPE, before it has read our last bytes, if it ever does.
    fn lingers(&self) -> bool {
        true
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    fn local_address(&self) -> io::Result<Address> {
        self.socket.local_addr().map(|address| Address::from(&address))
    }

    fn copy_descriptor(&self) -> io::Result<Descriptor> {
        super::copy_descriptor(&self.socket)
    }

    fn tcp(&self) -> Option<&dyn TcpOptions> {
        None
    }

    fn unix(&self) -> Option<&dyn UnixSocket> {
        Some(self)
    }
}

impl UnixSocket for UnixStream {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn peer_credentials(&self) -> io::Result<PeerCredentials> {
        let peer = rustix::net::sockopt::socket_peercred(&self.socket)?;
        let pid = u32::try_from(peer.pid.as_raw_nonzero().get()).unwrap_or(0);
        Ok(PeerCredentials { pid, uid: peer.uid.as_raw(), gid: peer.gid.as_raw() })
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn peer_credentials(&self) -> io::Result<PeerCredentials> {
        Err(io::Error::new(ErrorKind::Unsupported, "the peer's credentials are available only on Linux"))
    }

    fn send_descriptor(&self, descriptor: Descriptor) -> io::Result<()> {
        self.passing.queue(descriptor)
    }

    fn set_descriptor_limit(&self, limit: usize) {
        self.passing.set_limit(limit);
    }

    fn take_descriptor(&self) -> Option<Descriptor> {
        self.passing.take()
    }

    fn was_cut_short(&self) -> bool {
        self.passing.was_cut_short()
    }
}

/// Takes over a connected TCP or UNIX socket, and returns it with its peer.
pub(super) fn adopt_stream(socket: Descriptor, registry: &Rc<Registry>) -> io::Result<(Box<dyn Stream>, Address)> {
    let wrong = |what: &str| io::Error::new(ErrorKind::InvalidInput, format!("not a connected stream socket: {what}"));
    let asked = SockRef::from(&socket);
    match asked.r#type() {
        Ok(Type::STREAM) => {}
        Ok(_) => return Err(wrong("it is a datagram socket")),
        Err(_) => return Err(wrong("it is something else")),
    }
    let peer = asked.peer_addr().map_err(|error| wrong(&error.to_string()))?;
    asked.set_nonblocking(true)?;
    if let Some(address) = peer.as_socket() {
        let socket = mio::net::TcpStream::from_std(socket.into());
        socket.set_nodelay(true)?;
        return Ok((Box::new(OsStream::new(socket, Rc::clone(registry))), address.into()));
    }
    if !peer.is_unix() {
        return Err(wrong("it is neither a TCP nor a UNIX socket"));
    }
    let socket = mio::net::UnixStream::from_std(socket.into());
    let peer = Address::from(&socket.peer_addr()?);
    Ok((Box::new(UnixStream::new(socket, Rc::clone(registry))), peer))
}

/// A listening UNIX socket and its file.
pub(super) struct ListeningUnix {
    // Dropped first, so that nobody connects any more once the file is gone.
    socket: mio::net::UnixListener,
    _file: Option<SocketFile>,
}

impl ListeningUnix {
    pub(super) fn bind(name: &UnixName, options: ListenOptions) -> io::Result<Self> {
        let address = to_system(name)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        let file = match name {
            UnixName::Path(path) => Some(SocketFile::bind(&socket, path, &address, options)?),
            UnixName::Abstract(_) => {
                socket.bind(&address)?;
                None
            }
        };
        socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
        Self::adopt(std::os::fd::OwnedFd::from(socket).into(), file)
    }

    pub(super) fn adopt(listener: std::os::unix::net::UnixListener, file: Option<SocketFile>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { socket: mio::net::UnixListener::from_std(listener), _file: file })
    }
}

impl ListeningSocket for ListeningUnix {
    fn source(&mut self) -> &mut dyn Source {
        &mut self.socket
    }

    fn accept(&self, registry: &Rc<Registry>) -> io::Result<(Box<dyn Stream>, Address)> {
        let (socket, peer) = self.socket.accept()?;
        Ok((Box::new(UnixStream::new(socket, Rc::clone(registry))), Address::from(&peer)))
    }

    fn local_address(&self) -> io::Result<Address> {
        self.socket.local_addr().map(|address| Address::from(&address))
    }

    fn copy_descriptor(&self) -> io::Result<Descriptor> {
        super::copy_descriptor(&self.socket)
    }
}

/// Explains an error of connect(2).
pub(super) fn explain_connect(error: io::Error) -> io::Error {
    let remedy = match error.kind() {
        ErrorKind::NotFound => "start its server, or check where it listens",
        ErrorKind::PermissionDenied => "the mode of the file, or of a directory on the way, forbids it",
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{error}: {remedy}"))
}
