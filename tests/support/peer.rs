//! A test's plain peer: blocking, and without Torsade's code.

use std::io::{self, Read, Write};
#[cfg(unix)]
use std::io::{PipeReader, PipeWriter};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
#[cfg(unix)]
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[cfg(unix)]
use rustix::event::{PollFd, PollFlags, poll};

use super::LIMIT;

/// One end of a connection, on a test's thread, with timeouts for every wait.
pub enum Peer {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    /// The writing end is closed when our stream ends. It is first, so that dropping the peer ends its stream before it stops
    /// reading: in the other order Torsade may notice the broken pipe before the end of the stream.
    #[cfg(unix)]
    Pipes(Arc<Mutex<Option<PipeWriter>>>, PipeReader),
}

impl Peer {
    #[cfg(unix)]
    pub fn of_pipes(input: PipeReader, output: PipeWriter) -> Self {
        Self::Pipes(Arc::new(Mutex::new(Some(output))), input)
    }

    /// Ends our stream only, like that of a socket.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(how),
            #[cfg(unix)]
            Self::Unix(stream) => stream.shutdown(how),
            #[cfg(unix)]
            Self::Pipes(output, _) => {
                assert_eq!(how, Shutdown::Write);
                output.lock().expect("nothing panics while holding it").take();
                Ok(())
            }
        }
    }

    pub fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
            #[cfg(unix)]
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
            #[cfg(unix)]
            Self::Pipes(output, input) => Ok(Self::Pipes(Arc::clone(output), input.try_clone()?)),
        }
    }

    /// Writes what it can, and waits no longer than `limit`.
    pub fn write_within(&self, limit: Duration, data: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => {
                stream.set_write_timeout(Some(limit))?;
                let written = (&*stream).write(data);
                stream.set_write_timeout(Some(LIMIT))?;
                written
            }
            #[cfg(unix)]
            Self::Unix(stream) => {
                stream.set_write_timeout(Some(limit))?;
                let written = (&*stream).write(data);
                stream.set_write_timeout(Some(LIMIT))?;
                written
            }
            #[cfg(unix)]
            Self::Pipes(output, _) => {
                let output = output.lock().expect("nothing panics while holding it");
                let mut output = output.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
                let mut polled = [PollFd::new(output, PollFlags::OUT)];
                let limit = limit.try_into().expect("a short time");
                if poll(&mut polled, Some(&limit))? == 0 {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                // A pipe that reports room has room for this much.
                output.write(&data[..data.len().min(4096)])
            }
        }
    }

    /// Closes with a reset.
    pub fn reset(self) {
        match self {
            Self::Tcp(stream) => {
                socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("linger can be set");
            }
            #[cfg(unix)]
            Self::Unix(_) | Self::Pipes(..) => panic!("it cannot be reset"),
        }
    }
}

impl Read for &Peer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Peer::Tcp(stream) => (&*stream).read(buffer),
            #[cfg(unix)]
            Peer::Unix(stream) => (&*stream).read(buffer),
            #[cfg(unix)]
            Peer::Pipes(_, input) => (&*input).read(buffer),
        }
    }
}

impl Write for &Peer {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self {
            Peer::Tcp(stream) => (&*stream).write(data),
            #[cfg(unix)]
            Peer::Unix(stream) => (&*stream).write(data),
            #[cfg(unix)]
            Peer::Pipes(output, _) => match &*output.lock().expect("nothing panics while holding it") {
                Some(output) => (&*output).write(data),
                None => Err(io::ErrorKind::BrokenPipe.into()),
            },
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

#[cfg(unix)]
impl From<UnixStream> for Peer {
    fn from(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(LIMIT)).expect("a timeout can be set");
        stream.set_write_timeout(Some(LIMIT)).expect("a timeout can be set");
        Self::Unix(stream)
    }
}

impl From<TcpStream> for Peer {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}
