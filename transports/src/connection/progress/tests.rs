use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::spi::Layers;
use torsade_protocols::{Address, Protocol, Transport};
use torsade_reactor::spi::{Direction, Stream, TcpOptions, Token, UnixSocket};
use torsade_reactor::{Clock, Descriptor, Result};

use super::SOON;
use crate::connection::StreamConnection;
use crate::connection::shared::Shared;

/// A socket that takes everything, and counts how often it is asked for unacknowledged bytes.
struct Asked {
    times: Rc<Cell<usize>>,
    unacknowledged: Rc<Cell<usize>>,
    lingers: bool,
    /// The peer ends its stream once the socket was asked.
    ends: bool,
}

impl Stream for Asked {
    fn direction(&self) -> Direction {
        Direction::Both
    }

    fn register(&mut self, _: Token) -> io::Result<()> {
        Ok(())
    }

    fn is_connected(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn short_io_ends_edge(&self) -> bool {
        true
    }

    fn pause(&self) {}

    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        if self.ends && self.times.get() > 0 { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    fn write(&self, data: &[u8]) -> io::Result<usize> {
        Ok(data.len())
    }

    fn unacknowledged(&self) -> Option<usize> {
        self.times.set(self.times.get() + 1);
        Some(self.unacknowledged.get())
    }

    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }

    fn reset_on_close(&self) -> io::Result<()> {
        Ok(())
    }

    fn lingers(&self) -> bool {
        self.lingers
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(None)
    }

    fn local_address(&self) -> io::Result<Address> {
        Ok(Address::Unnamed)
    }

    fn copy_descriptor(&self) -> io::Result<Descriptor> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn tcp(&self) -> Option<&dyn TcpOptions> {
        None
    }

    fn unix(&self) -> Option<&dyn UnixSocket> {
        None
    }
}

/// Gives its transport to the test.
struct Kept(Rc<RefCell<Option<Transport>>>);

impl Protocol for Kept {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.0.replace(Some(transport.clone()));
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

fn connect(clock: &Clock, stream: Asked) -> Transport {
    let kept = Rc::default();
    let protocol = Box::new(Kept(Rc::clone(&kept)));
    StreamConnection::accept(&Shared::of(clock), Box::new(stream), Address::Unnamed, protocol, &Layers::default()).unwrap();
    kept.take().unwrap()
}

#[test]
fn the_system_is_asked_what_is_unacknowledged_only_until_the_peer_has_everything() {
    let clock = Clock::new();
    let (times, unacknowledged) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let stream = Asked { times: Rc::clone(&times), unacknowledged: Rc::clone(&unacknowledged), lingers: false, ends: false };
    let transport = connect(&clock, stream);
    let look = || {
        let delivery = transport.delivery();
        (delivery.acknowledged, delivery.outstanding, times.take())
    };
    assert_eq!(look(), (0, 0, 0), "nothing was sent");
    transport.write("hello");
    clock.advance(Duration::ZERO);
    unacknowledged.set(5);
    assert_eq!(look(), (0, 5, 1));
    unacknowledged.set(0);
    assert_eq!(look(), (5, 0, 1));
    assert_eq!(look(), (5, 0, 0), "it has everything");
    transport.write("!");
    clock.advance(Duration::ZERO);
    assert_eq!(look(), (6, 0, 1), "it was sent more");
}

#[test]
fn the_socket_of_a_connection_that_is_over_is_asked_only_when_its_peer_does_not_end_soon() {
    for ends in [true, false] {
        let clock = Clock::new();
        let times = Rc::new(Cell::new(0));
        let stream = Asked { times: Rc::clone(&times), unacknowledged: Rc::default(), lingers: true, ends };
        let transport = connect(&clock, stream);
        transport.write("hello");
        transport.lose_connection();
        clock.advance(Duration::ZERO);
        assert_eq!(times.get(), 0);
        clock.advance(SOON);
        assert_eq!(times.get(), 1, "the peer has everything: the connection is over");
        clock.advance(SOON);
        clock.advance(SOON);
        assert_eq!(times.get(), if ends { 1 } else { 2 });
    }
}
