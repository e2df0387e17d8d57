//! The generator: a fixed number of requests by clients in this process, on one thread.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use torsade::prelude::*;

const MESSAGE: [u8; 64] = [b'm'; 64];

/// The number of clients, and of the requests of each kind of work.
const CLIENTS: usize = 100;
const ECHOES: usize = 300_000;
const DELIVERIES: usize = 500_000;
const CONNECTIONS: usize = 20_000;

struct Load {
    /// Clients that are not ready yet; the work begins when the last is.
    missing: Cell<usize>,
    left: Cell<usize>,
    clients: RefCell<Vec<Transport>>,
}

/// Connects all clients, calls `begin`, and lets them work; returns the number of requests.
pub fn run(work: &str, address: SocketAddr, begin: impl FnOnce() -> Result) -> Result<usize> {
    let reactor = Reactor::new()?;
    let total = match work {
        "echo" => ECHOES,
        "chat" => DELIVERIES,
        _ => CONNECTIONS,
    };
    let load = Rc::new(Load { missing: Cell::new(CLIENTS), left: Cell::new(total), clients: RefCell::default() });
    reactor.start_running()?;
    for _ in 0..CLIENTS {
        let load = Rc::clone(&load);
        match work {
            "echo" => reactor.connect_tcp(address, move |_peer| Asks { load: Rc::clone(&load), got: 0 })?,
            "chat" => reactor.connect_tcp(address, move |_peer| LineReceiver::new(Member { load: Rc::clone(&load) }))?,
            _ => reactor.connect_tcp(address, move |_peer| Visits { load: Rc::clone(&load), address })?,
        };
    }
    while load.missing.get() > 0 {
        reactor.iterate(None)?;
    }
    begin()?;
    if work == "chat" {
        load.speak();
    } else {
        load.clients.borrow().iter().for_each(|client| client.write(MESSAGE));
    }
    while load.left.get() > 0 {
        reactor.iterate(None)?;
    }
    reactor.crash()?;
    reactor.disconnect_all()?;
    Ok(total)
}

impl Load {
    fn is_ready(&self, client: &Transport) {
        self.missing.set(self.missing.get().saturating_sub(1));
        self.clients.borrow_mut().push(client.clone());
    }

    /// The first client sends a message to all.
    fn speak(&self) {
        self.clients.borrow().iter().take(1).for_each(|speaker| speaker.write("message\r\n"));
    }

    /// Counts a request as done; returns whether there is another.
    fn goes_on(&self) -> bool {
        self.left.set(self.left.get().saturating_sub(1));
        self.left.get() > 0
    }
}

/// Requests one echo after the other.
struct Asks {
    load: Rc<Load>,
    got: usize,
}

impl Protocol for Asks {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.load.is_ready(transport);
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.got += data.len();
        if self.got == MESSAGE.len() {
            self.got = 0;
            if self.load.goes_on() {
                transport.write(MESSAGE);
            }
        }
        Ok(())
    }
}

/// Requests one echo on each connection.
struct Visits {
    load: Rc<Load>,
    address: SocketAddr,
}

impl Protocol for Visits {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        if self.load.missing.get() > 0 {
            self.load.is_ready(transport);
        } else {
            transport.write(MESSAGE);
        }
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, _: &[u8]) -> Result {
        // A reset leaves no TIME_WAIT; there would be too many.
        transport.abort_connection();
        if self.load.goes_on() {
            let (load, address) = (Rc::clone(&self.load), self.address);
            let next = move |_peer| Visits { load: Rc::clone(&load), address };
            transport.reactor().connect_tcp(address, next)?;
        }
        Ok(())
    }
}

/// A member of the chat; when all have a message the first sends the next.
struct Member {
    load: Rc<Load>,
}

impl LineProtocol for Member {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        transport.send_line("J");
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        if line == b"ok" {
            self.load.is_ready(transport);
        } else if self.load.goes_on() && self.load.left.get().is_multiple_of(CLIENTS) {
            self.load.speak();
        }
        Ok(())
    }
}
