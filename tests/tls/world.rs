//! One connection between two probes, on one reactor over the loopback.

use std::cell::Cell;
use std::rc::Rc;

use crate::support::{Event, Events, Probe, Script, run};
use torsade::prelude::*;

pub struct Ends {
    pub server: Events,
    pub client: Events,
}

/// One side's protocol: what it does, and whether it goes on after the peer's end of stream.
pub struct Side {
    script: Script,
    half_closeable: bool,
}

/// A side that follows `script`.
pub fn side(script: impl FnMut(&Event, &Transport) -> Result + 'static) -> Side {
    Side { script: Box::new(script), half_closeable: false }
}

/// A side that only records.
pub fn silent() -> Side {
    side(|_, _| Ok(()))
}

pub fn echo() -> Side {
    side(|event, transport| {
        if let Event::Data(data) = event {
            transport.write(data);
        }
        Ok(())
    })
}

impl Side {
    pub fn half_closeable(mut self) -> Self {
        self.half_closeable = true;
        self
    }

    /// The protocol, recording into `events`; `first` is called when connected, before anything else.
    pub fn into_probe(mut self, events: &Events, first: impl Fn(&Transport) -> Result + 'static) -> Probe {
        let half_closeable = self.half_closeable;
        let probe = Probe::new(events, move |event, transport| {
            if matches!(event, Event::Made) {
                first(transport)?;
            }
            (self.script)(event, transport)
        });
        if half_closeable { probe.half_closeable() } else { probe }
    }

    fn probe(mut self, events: &Events, left: &Rc<Cell<u32>>, reactor: &Reactor) -> Probe {
        let (left, reactor) = (left.clone(), reactor.clone());
        let half_closeable = self.half_closeable;
        let probe = Probe::new(events, move |event, transport| {
            let result = (self.script)(event, transport);
            if matches!(event, Event::Lost(_)) {
                left.set(left.get() - 1);
                if left.get() == 0 {
                    // After this turn, so that the factory's hooks come too.
                    let stopper = reactor.clone();
                    reactor.call_later(std::time::Duration::ZERO, move || stopper.stop().unwrap_or(()));
                }
            }
            result
        });
        if half_closeable { probe.half_closeable() } else { probe }
    }
}

/// Runs one TLS connection until both ends are lost.
pub fn converse(server_config: &TlsServerConfig, client_config: &TlsClientConfig, server: Side, client: Side) -> Ends {
    let reactor = Reactor::new().expect("a reactor");
    let ends = Ends { server: Events::default(), client: Events::default() };
    let left = Rc::new(Cell::new(2));
    let mut server = Some(server.probe(&ends.server, &left, &reactor));
    let mut client = Some(client.probe(&ends.client, &left, &reactor));
    let port = reactor.listen_tls("127.0.0.1:0", server_config, move |_peer| server.take()).expect("a port");
    let address = port.address();
    reactor.connect_tls(address, client_config, move |_peer| client.take()).expect("an address");
    run(&reactor);
    ends
}

/// Runs one connection that begins in plaintext, until both ends are lost.
pub fn converse_in_clear(server: Side, client: Side) -> Ends {
    let reactor = Reactor::new().expect("a reactor");
    let ends = Ends { server: Events::default(), client: Events::default() };
    let left = Rc::new(Cell::new(2));
    let mut server = Some(server.probe(&ends.server, &left, &reactor));
    let mut client = Some(client.probe(&ends.client, &left, &reactor));
    let port = reactor.listen_tcp("127.0.0.1:0", move |_peer| server.take()).expect("a port");
    reactor.connect_tcp(port.address(), move |_peer| client.take()).expect("an address");
    run(&reactor);
    ends
}
