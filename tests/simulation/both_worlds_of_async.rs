//! A server in `async` code and one of callbacks: a client cannot tell them apart, and both see the same ends, on real sockets
//! and in the simulated network.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use torsade::event_log::Event;
use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::{AsyncProtocol, Callback};

use crate::both_worlds::{ECHOING, HALF_CLOSING, LOSE, LOSING, Part, Role, of_each};
use crate::support::{self, async_echo};

type Serving = Pin<Box<dyn Future<Output = Result>>>;

/// A server's behaviour, with callbacks and in `async` code.
#[derive(Clone, Copy)]
struct Server {
    part: Part,
    serve: fn(AsyncConnection) -> Serving,
}

const ECHOES: Server = Server { part: ECHOING, serve: |connection| Box::pin(async_echo::<1000>(connection)) };

/// The scenarios: a name, what the server does and what the client does.
const SCENARIOS: [(&str, Server, Part); 8] = [
    ("an echo", ECHOES, LOSING),
    ("a half-close", ECHOES, HALF_CLOSING),
    ("an end at once", ECHOES, Part { made: LOSE, ..LOSING }),
    (
        "as much as is not too much at once, and a half-close",
        ECHOES,
        Part {
            made: |transport| {
                transport.write([b"x".repeat(1022), b"\r\n".to_vec()].concat().repeat(60));
                transport.lose_write_connection();
                Ok(())
            },
            line: |_, _| Ok(()),
            end: LOSE,
        },
    ),
    (
        "the client's abort",
        ECHOES,
        Part {
            line: |transport, _| {
                transport.abort_connection();
                Ok(())
            },
            ..LOSING
        },
    ),
    (
        "the server's abort",
        Server {
            part: Part {
                line: |transport, _| {
                    transport.abort_connection();
                    Ok(())
                },
                ..ECHOING
            },
            serve: |mut connection| {
                Box::pin(async move {
                    connection.read(&mut [0; 1000]).await?;
                    Ok(())
                })
            },
        },
        LOSING,
    ),
    (
        "the stop of the reactor",
        Server {
            part: Part { line: |transport, _| Ok(transport.reactor().stop()?), ..ECHOING },
            serve: |mut connection| {
                Box::pin(async move {
                    connection.read(&mut [0; 1000]).await?;
                    connection.transport().reactor().stop()?;
                    async_echo::<1000>(connection).await
                })
            },
        },
        LOSING,
    ),
    (
        "compression",
        Server {
            part: Part {
                made: |transport| {
                    transport.set_compression("deflate")?;
                    transport.send_line("welcome");
                    Ok(())
                },
                ..ECHOING
            },
            serve: |mut connection| {
                Box::pin(async move {
                    connection.transport().set_compression("deflate")?;
                    connection.write_all(b"welcome\r\n").await?;
                    async_echo::<1000>(connection).await
                })
            },
        },
        Part {
            made: |_| Ok(()),
            line: |transport, line| {
                if line == b"welcome" {
                    transport.send_line("and you?");
                } else {
                    transport.lose_connection();
                }
                Ok(())
            },
            end: LOSE,
        },
    ),
];

/// A server's protocol of either kind, which records its reason when lost.
struct Served {
    protocol: Box<dyn Protocol>,
    id: Rc<Cell<u64>>,
}

impl Protocol for Served {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.protocol.data_received(transport, data)
    }

    fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
        self.id.set(transport.id());
        callback.dispatch(&mut *self.protocol, transport)
    }
}

/// Gives its connection to `async` code; otherwise like a [`Role`] that does nothing.
struct InAsync {
    serve: fn(AsyncConnection) -> Serving,
    told: Option<AsyncProtocol>,
    role: LineReceiver<Role>,
}

impl Protocol for InAsync {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.told.as_mut().map_or(Ok(()), |told| told.data_received(transport, data))
    }

    fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
        if let Callback::ConnectionMade = callback {
            let (connection, told) = AsyncConnection::from_protocol(transport, b"");
            self.told = Some(told);
            // The task ends on its own, with an error if the connection fails.
            transport.reactor().spawn((self.serve)(connection)).into_deferred().add_errback(|_| ()).detach();
        }
        if let Callback::ConnectionLost(reason) = &callback {
            self.role.connection_lost(transport, reason)?;
        }
        self.told.as_mut().map_or(Ok(()), |told| callback.dispatch(told, transport))
    }
}

/// What the client saw, and how it ended for the server.
type Seen = (Vec<String>, String);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Callbacks,
    Async,
}

struct Started {
    events: Rc<RefCell<Vec<Event>>>,
    served: Rc<Cell<u64>>,
}

fn start(reactor: &Reactor, way: Way, server: Server, client: Part) -> Result<Started> {
    let (events, gone, served) = (Rc::<RefCell<Vec<Event>>>::default(), Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let noted = Rc::clone(&events);
    reactor.set_observer(move |event| noted.borrow_mut().push(event.clone()));
    let (counted, id) = (Rc::clone(&gone), Rc::clone(&served));
    let port = reactor.listen_tcp("127.0.0.1:0", move |_peer| {
        let role = |part| LineReceiver::new(Role { part, gone: counted.clone() });
        let protocol: Box<dyn Protocol> = match way {
            Way::Callbacks => Box::new(role(server.part)),
            Way::Async => Box::new(InAsync { serve: server.serve, told: None, role: role(ECHOING) }),
        };
        Served { protocol, id: Rc::clone(&id) }
    })?;
    reactor.connect_tcp(port.address(), move |_peer| LineReceiver::new(Role { part: client, gone: gone.clone() }))?;
    Ok(Started { events, served })
}

impl Started {
    fn seen(&self) -> Seen {
        let of_each = of_each(&self.events.borrow());
        let (served, other): (Vec<_>, Vec<_>) = of_each.into_iter().partition(|(id, _)| *id == self.served.get());
        let end = served.into_iter().next().and_then(|(_, mut callbacks)| callbacks.pop()).expect("the server was called");
        (other.into_iter().next().expect("the client was called").1, end)
    }
}

fn really(way: Way, server: Server, client: Part) -> Result<Seen> {
    let reactor = Reactor::new()?;
    let started = start(&reactor, way, server, client)?;
    support::run(&reactor);
    Ok(started.seen())
}

fn simulated(seed: u64, way: Way, server: Server, client: Part) -> Result<Seen> {
    let simulation = Simulation::new(seed);
    let started = start(simulation.host("10.0.0.1").reactor(), way, server, client)?;
    simulation.run_for(Duration::from_secs(60))?;
    Ok(started.seen())
}

#[test]
fn async_servers_and_those_of_callbacks_are_the_same_to_a_client_in_both_worlds() {
    for (name, server, client) in SCENARIOS {
        let wanted = really(Way::Callbacks, server, client).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(wanted.1.starts_with("connection_lost"), "{name}: {wanted:?}");
        assert_eq!(really(Way::Async, server, client).unwrap(), wanted, "{name}, on real sockets");
        for (seed, way) in (0..20).flat_map(|seed| [(seed, Way::Callbacks), (seed, Way::Async)]) {
            let seen = simulated(seed, way, server, client).unwrap_or_else(|error| panic!("{name}, seed {seed}: {error}"));
            assert_eq!(seen, wanted, "{name}, seed {seed}, {way:?}");
        }
    }
}
