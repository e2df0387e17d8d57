//! UNIX datagram sockets.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use mio::Interest;
use socket2::{Domain, SockRef, Socket, Type};

use super::Registry;
use super::datagrams::classify;
use super::socket_file::SocketFile;
use super::unix::explain_connect;
use super::unix_name::to_system;
use crate::address::{Address, UnixName};
use crate::backend::{DatagramOptions, Datagrams, ListenOptions, Token, UdpOptions};

pub(super) struct UnixDatagrams {
    // Dropped first, so that nobody sends to it any more once the file is gone.
    socket: mio::net::UnixDatagram,
    _file: Option<SocketFile>,
    registry: Rc<Registry>,
}

impl UnixDatagrams {
    /// Binds it to its name, if any.
    pub(super) fn bind(address: &Address, options: DatagramOptions, registry: Rc<Registry>) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
        socket.set_nonblocking(true)?;
        let mut file = None;
        if let Address::Unix(name) = address {
            let address = to_system(name)?;
            match name {
                UnixName::Path(path) => {
                    let options = ListenOptions { mode: options.mode, lock: options.lock, ..ListenOptions::default() };
                    file = Some(SocketFile::bind(&socket, path, &address, options)?);
                }
                UnixName::Abstract(_) => socket.bind(&address)?,
            }
        }
        Ok(Self { socket: mio::net::UnixDatagram::from_std(OwnedFd::from(socket).into()), _file: file, registry })
    }
}

impl Drop for UnixDatagrams {
    /// Deregisters the socket, because the poll forgets it by itself only if nothing else holds the same socket.
    fn drop(&mut self) {
        if !self.registry.is_forked() {
            // This fails only if it was never registered.
            self.registry.deregister(&mut self.socket).ok();
        }
    }
}

impl Datagrams for UnixDatagrams {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.registry.register(&mut self.socket, mio::Token(token.to_usize()), Interest::READABLE)
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Address)> {
        let (length, from) = self.socket.recv_from(buffer)?;
        Ok((length, Address::from(&from)))
    }

    fn send_to(&self, data: &[u8], to: &Address) -> io::Result<()> {
        let Address::Unix(name) = to else { return Err(io::ErrorKind::InvalidInput.into()) };
        SockRef::from(&self.socket).send_to(data, &to_system(name)?).map(drop).map_err(classify)
    }

    fn send(&self, data: &[u8]) -> io::Result<()> {
        self.socket.send(data).map(drop).map_err(classify)
    }

    fn connect(&self, peer: &Address) -> io::Result<()> {
        let Address::Unix(name) = peer else { return Err(io::ErrorKind::InvalidInput.into()) };
        SockRef::from(&self.socket).connect(&to_system(name)?).map_err(|error| {
            let error = explain_connect(error);
            io::Error::new(error.kind(), format!("{name}: {error}"))
        })
    }

    fn peer_address(&self) -> Option<Address> {
        self.socket.peer_addr().ok().map(|address| Address::from(&address))
    }

    fn local_address(&self) -> io::Result<Address> {
        self.socket.local_addr().map(|address| Address::from(&address))
    }

    fn udp(&self) -> Option<&dyn UdpOptions> {
        None
    }
}
