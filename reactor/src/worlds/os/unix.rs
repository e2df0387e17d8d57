//! UNIX stream sockets of the system, unix(7).
//!
//! What is written is in the peer's buffer at once, so closing takes nothing back that the system has taken: there is nothing to
//! be acknowledged, and no reset. Who closes with unread input gives the peer ECONNRESET, behind all that was written to it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::SocketAddr;
use std::rc::Rc;

use mio::Interest;
use mio::event::Source;
use socket2::{Domain, SockAddr, Socket, Type};

use super::Registry;
use super::listener::ListeningSocket;
use super::socket_file::SocketFile;
use super::stream::{EDGES, OpenStream};
use crate::address::{Address, UnixName};
use crate::backend::{Direction, ListenOptions, Stream, TcpOptions, Token};

/// The longest name of a socket: `sun_path` of unix(7), which has 108 bytes on Linux and 104 elsewhere, without the zero byte.
const LONGEST: usize = if cfg!(any(target_os = "linux", target_os = "android")) { 107 } else { 103 };

/// A connected UNIX socket.
pub(super) struct UnixStream {
    socket: mio::net::UnixStream,
    registry: Rc<Registry>,
    _open: OpenStream,
}

impl UnixStream {
    pub(super) fn new(socket: mio::net::UnixStream, registry: Rc<Registry>) -> Self {
        Self { socket, registry, _open: OpenStream::new() }
    }

    /// Connects, which takes no time.
    ///
    /// # Errors
    /// `WouldBlock` if as many wait to be accepted as may; `ConnectionRefused` if nobody listens, and only the file is left.
    pub(super) fn connect(name: &UnixName, registry: Rc<Registry>) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&socket_address(name)?).map_err(|error| explain_connect(name, error))?;
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
        (&self.socket).read(buffer)
    }

    fn write(&self, data: &[u8]) -> io::Result<usize> {
        (&self.socket).write(data)
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

    /// A peer that is still writing would be told so by EPIPE, and most often SIGPIPE: before it has read our last words, if ever.
    fn lingers(&self) -> bool {
        true
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    fn local_address(&self) -> io::Result<Address> {
        self.socket.local_addr().map(|address| address_of(&address))
    }

    fn tcp(&self) -> Option<&dyn TcpOptions> {
        None
    }
}

/// A listening UNIX socket, and the file that is its name.
pub(super) struct ListeningUnix {
    // First, so that nobody connects any more once the file is gone.
    socket: mio::net::UnixListener,
    _file: Option<SocketFile>,
}

impl ListeningUnix {
    pub(super) fn bind(name: &UnixName, options: ListenOptions) -> io::Result<Self> {
        let address = socket_address(name)?;
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

    /// Takes a socket that listens already.
    fn adopt(listener: std::os::unix::net::UnixListener, file: Option<SocketFile>) -> io::Result<Self> {
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
        Ok((Box::new(UnixStream::new(socket, Rc::clone(registry))), address_of(&peer)))
    }

    fn local_address(&self) -> io::Result<Address> {
        self.socket.local_addr().map(|address| address_of(&address))
    }
}

/// The name as the system takes it.
fn socket_address(name: &UnixName) -> io::Result<SockAddr> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let mut bytes = Vec::new();
    match name {
        UnixName::Path(path) => bytes.extend_from_slice(path.as_os_str().as_bytes()),
        UnixName::Abstract(_) if !cfg!(any(target_os = "linux", target_os = "android")) => {
            return Err(io::Error::new(ErrorKind::Unsupported, "only Linux has abstract names: use a path"));
        }
        UnixName::Abstract(name) => {
            bytes.push(0);
            bytes.extend_from_slice(name);
        }
    }
    if bytes.len() > LONGEST {
        let text = format!("the name has {} bytes, and {LONGEST} are the most: choose a shorter one", bytes.len());
        return Err(io::Error::new(ErrorKind::InvalidInput, text));
    }
    if bytes.is_empty() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "the name is empty: give a path"));
    }
    SockAddr::unix(OsStr::from_bytes(&bytes))
}

fn address_of(address: &SocketAddr) -> Address {
    if let Some(path) = address.as_pathname() {
        return UnixName::Path(path.to_owned()).into();
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        #[cfg(target_os = "android")]
        use std::os::android::net::SocketAddrExt;
        #[cfg(target_os = "linux")]
        use std::os::linux::net::SocketAddrExt;

        if let Some(name) = address.as_abstract_name() {
            return UnixName::Abstract(name.to_vec()).into();
        }
    }
    Address::Unnamed
}

/// Says what of the path is wrong; who connects sees only the error.
fn explain_connect(name: &UnixName, error: io::Error) -> io::Error {
    let remedy = match error.kind() {
        ErrorKind::NotFound => "there is no such file: start its server, or look where that listens",
        ErrorKind::PermissionDenied => "the mode of the file, or of a directory on the way, forbids it",
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{name}: {error}; {remedy}"))
}
