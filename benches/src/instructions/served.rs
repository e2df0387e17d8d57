//! A server on a reactor turned by hand, and its peers.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use torsade::prelude::*;

/// Marks a flush in a deflate stream: the end of an empty stored block.
const FLUSHED: [u8; 4] = [0, 0, 0xff, 0xff];

/// When a peer's answer is complete.
pub enum Answer {
    Bytes(usize),
    Flush,
}

impl Answer {
    fn is_whole(&self, got: &[u8]) -> bool {
        match self {
            Self::Bytes(length) => got.len() >= *length,
            Self::Flush => got.ends_with(&FLUSHED),
        }
    }
}

pub struct Served {
    reactor: Reactor,
    peers: Vec<TcpStream>,
    buffer: Vec<u8>,
}

impl Served {
    pub fn new<F: Factory + 'static>(peers: usize, factory: F) -> Result<Self> {
        Self::with(peers, |reactor| Ok(reactor.listen_tcp("127.0.0.1:0", factory)?))
    }

    /// The same with its own way to listen.
    pub fn with(peers: usize, listen: impl FnOnce(&Reactor) -> Result<Port>) -> Result<Self> {
        let reactor = Reactor::new()?;
        let port = listen(&reactor)?;
        reactor.start_running()?;
        let address = ("127.0.0.1", port.address().port().unwrap_or(0));
        let peers = (0..peers).map(|_| {
            let peer = TcpStream::connect(address)?;
            peer.set_nodelay(true)?;
            peer.set_nonblocking(true)?;
            reactor.iterate(Some(Duration::ZERO))?;
            Ok(peer)
        });
        let peers = peers.collect::<Result<_>>()?;
        Ok(Self { reactor, peers, buffer: vec![0; 65_536] })
    }

    /// Runs this many rounds: the first peer sends the next request, and every peer receives this answer.
    pub fn run(&mut self, rounds: usize, requests: &[Vec<u8>], answer: &Answer) -> Result {
        for round in 0..rounds {
            self.say(0, &requests[round % requests.len()])?;
            (0..self.peers.len()).try_for_each(|peer| self.hear(peer, answer))?;
        }
        Ok(())
    }

    #[inline]
    pub fn say(&self, peer: usize, request: &[u8]) -> Result {
        Ok((&self.peers[peer]).write_all(request)?)
    }

    /// Runs `act` on a thread with the first peer's socket, in blocking mode, and turns the reactor until it is done.
    #[cfg(feature = "tls")]
    pub fn prepare<T, F>(&mut self, act: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut TcpStream) -> std::io::Result<T> + Send + 'static,
    {
        let mut socket = self.peers[0].try_clone()?;
        let thread = std::thread::spawn(move || {
            socket.set_nonblocking(false)?;
            let done = act(&mut socket);
            socket.set_nonblocking(true)?;
            done
        });
        while !thread.is_finished() {
            self.reactor.iterate(Some(Duration::from_millis(1)))?;
        }
        Ok(thread.join().map_err(|_| "the thread panicked")??)
    }

    /// Turns the reactor until this peer has its answer.
    #[inline]
    pub fn hear(&mut self, peer: usize, answer: &Answer) -> Result {
        let mut peer = &self.peers[peer];
        let mut got = 0;
        while !answer.is_whole(&self.buffer[..got]) {
            match peer.read(&mut self.buffer[got..]) {
                Ok(0) => return Err("the server closed".into()),
                Ok(count) => got += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.reactor.iterate(Some(Duration::from_millis(100)))?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
