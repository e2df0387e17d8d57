//! One connection on a reactor turned by hand, and its peer on a thread.

use std::cell::{Cell, RefCell};
use std::net::TcpStream;
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;

use torsade::prelude::*;

pub struct Link {
    pub reactor: Reactor,
    pub transport: Transport,
    /// Bytes that the protocol has received.
    pub received: Rc<Cell<usize>>,
    lost: Rc<Cell<bool>>,
    peer: Option<JoinHandle<()>>,
}

struct Sink {
    transport: Rc<RefCell<Option<Transport>>>,
    received: Rc<Cell<usize>>,
    lost: Rc<Cell<bool>>,
}

impl Protocol for Sink {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.set_write_buffer_cap(usize::MAX);
        self.transport.replace(Some(transport.clone()));
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        self.received.set(self.received.get() + data.len());
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &Transport, _reason: &Reason) -> Result {
        self.lost.set(true);
        Ok(())
    }
}

impl Link {
    /// A connection from a peer that then calls `act`.
    pub fn with(act: impl FnOnce(TcpStream) + Send + 'static) -> Result<Self> {
        let reactor = Reactor::new()?;
        reactor.start_running()?;
        Self::make(&reactor, act)
    }

    fn make(reactor: &Reactor, act: impl FnOnce(TcpStream) + Send + 'static) -> Result<Self> {
        let transport = Rc::new(RefCell::new(None));
        let (received, lost) = (Rc::default(), Rc::default());
        let sink = Sink { transport: Rc::clone(&transport), received: Rc::clone(&received), lost: Rc::clone(&lost) };
        let mut sink = Some(sink);
        let port = reactor.listen_tcp("127.0.0.1:0", move |_peer| sink.take())?;
        let address = port.address().to_string();
        let peer = std::thread::spawn(move || act(TcpStream::connect(address).expect("the port listens")));
        while transport.borrow().is_none() {
            reactor.iterate(None)?;
        }
        port.stop_listening();
        let transport = transport.take().ok_or("no connection")?;
        Ok(Self { reactor: reactor.clone(), transport, received, lost, peer: Some(peer) })
    }

    /// A connection whose peer drops everything it reads.
    pub fn to_a_sink() -> Result<Self> {
        Self::with(swallow)
    }

    /// The same, on a reactor that has others.
    pub fn on(reactor: &Reactor) -> Result<Self> {
        Self::make(reactor, swallow)
    }

    /// Turns until everything written has been sent.
    pub fn drain(&self) -> Result {
        self.reactor.iterate(Some(Duration::ZERO))?;
        while self.transport.unsent() > 0 {
            self.reactor.iterate(None)?;
        }
        Ok(())
    }

    pub fn close(mut self) -> Result {
        self.transport.lose_connection();
        while !self.lost.get() {
            self.reactor.iterate(None)?;
        }
        let peer = self.peer.take().map(JoinHandle::join);
        if peer.is_some_and(|peer| peer.is_err()) { Err("the peer failed".into()) } else { Ok(()) }
    }
}

fn swallow(mut stream: TcpStream) {
    std::io::copy(&mut stream, &mut std::io::sink()).ok();
}
