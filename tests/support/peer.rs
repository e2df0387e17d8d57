//! A test's plain peer: what blocks and is not the product's.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::LIMIT;

/// One end of a connection, on a thread of the test, where nothing waits for ever.
pub enum Peer {
    Tcp(TcpStream),
}

impl Peer {
    /// As a socket's: ends our stream, and that only.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(how),
        }
    }

    /// The same end once more.
    pub fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
        }
    }

    /// Writes what goes, and waits no longer for it than so.
    pub fn write_within(&self, limit: Duration, data: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => {
                stream.set_write_timeout(Some(limit))?;
                let written = (&*stream).write(data);
                stream.set_write_timeout(Some(LIMIT))?;
                written
            }
        }
    }

    /// Closes with a reset.
    pub fn reset(self) {
        match self {
            Self::Tcp(stream) => {
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("linger can be set");
            }
        }
    }
}

impl Read for &Peer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Peer::Tcp(stream) => (&*stream).read(buffer),
        }
    }
}

impl Write for &Peer {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self {
            Peer::Tcp(stream) => (&*stream).write(data),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Peer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for Peer {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        (&*self).write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<TcpStream> for Peer {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}
