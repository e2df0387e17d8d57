//! One connection for one protocol, as a value that comes later.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::wire::{Discard, Echo};

const SERVER: &str = "10.0.0.2";
const CLIENT: &str = "10.0.0.1";
const SECOND: Duration = Duration::from_secs(1);

/// Counts what it has received, for whoever has the count.
struct Counting(Rc<Cell<usize>>);

impl Protocol for Counting {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.write("four");
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.0.set(self.0.get() + data.len());
        Ok(())
    }
}

/// What the Deferred of a connection to `endpoint` fails with.
fn error(simulation: &Simulation, endpoint: ClientEndpoint) -> ConnectError {
    let found = Rc::new(RefCell::new(None));
    let told = Rc::clone(&found);
    let connecting = simulation.host(CLIENT).connect_protocol(endpoint, Discard);
    connecting.add_both(move |result| drop(told.replace(result.map(drop).err()))).detach();
    simulation.run_for(60 * SECOND).unwrap();
    let failure = found.take().expect("it has failed");
    failure.downcast_ref::<ConnectError>().expect("as a ConnectError").clone()
}

#[test]
fn a_protocol_alone_gives_its_transport_and_a_pair_its_handle() {
    let simulation = Simulation::new(1);
    simulation.host(SERVER).listen("10.0.0.2:7", |_peer| Echo).unwrap();
    let reactor = simulation.host(CLIENT);
    let seen = Rc::new(Cell::new(0));
    let told = Rc::clone(&seen);
    let again = reactor.clone();
    reactor.spawn(async move {
        let transport = again.connect_protocol("10.0.0.2:7", Discard).await?;
        assert_eq!(transport.peer().to_string(), "10.0.0.2:7");
        let count = Rc::new(Cell::new(0));
        let count: Rc<Cell<usize>> = again.connect_protocol("10.0.0.2:7", (Counting(Rc::clone(&count)), count)).await?;
        again.sleep(SECOND).await?;
        told.set(count.get());
        Ok(())
    });
    simulation.run_for(10 * SECOND).unwrap();
    assert_eq!(seen.get(), 4);
}

#[test]
fn what_an_attempt_ends_with_is_the_error_of_the_deferred() {
    let simulation = Simulation::new(1);
    let refused = error(&simulation, ClientEndpoint::tcp("10.0.0.2:7").unwrap());
    assert!(matches!(refused, ConnectError::Io(_) | ConnectError::Refused), "{refused}");
    simulation.host(SERVER).listen("10.0.0.2:8", |_peer| None::<Echo>).unwrap();
    let refused = error(&simulation, ClientEndpoint::tcp("10.0.0.2:9").unwrap());
    assert!(matches!(refused, ConnectError::Refused), "{refused}");
    let nowhere = simulation.host(CLIENT).connect_protocol("nonsense", Discard).into_result().expect("it has failed at once");
    assert!(matches!(nowhere.unwrap_err().downcast_ref(), Some(ConnectError::Endpoint(_))));
}

#[test]
fn cancelling_ends_the_attempt() {
    let reactor = torsade::MemoryReactor::new();
    let connecting = reactor.connect_protocol("192.0.2.1:7", Discard);
    reactor.advance(Duration::ZERO);
    assert_eq!(reactor.backend().open_streams(), 1);
    connecting.cancel();
    reactor.advance(Duration::ZERO);
    assert_eq!((reactor.source_count(), reactor.backend().open_streams()), (0, 0));
    assert!(connecting.into_result().expect("it has failed").unwrap_err().is_cancelled());
}

#[test]
fn compression_of_both_sides_is_a_matter_of_their_endpoints() {
    let simulation = Simulation::new(1);
    let compressed = || "deflate".parse::<Format>().unwrap();
    simulation.host(SERVER).listen(ServerEndpoint::tcp("10.0.0.2:7").unwrap().compressed(compressed()), |_peer| Echo).unwrap();
    let (count, stats) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(None)));
    let told = Rc::clone(&stats);
    let endpoint = ClientEndpoint::tcp("10.0.0.2:7").unwrap().compressed(compressed());
    let reactor = simulation.host(CLIENT);
    let connecting = reactor.connect_protocol(endpoint, Counting(Rc::clone(&count)));
    connecting.add_callback(move |transport| drop(told.replace(Some(transport)))).detach();
    simulation.run_for(10 * SECOND).unwrap();
    let transport = stats.take().expect("it is connected");
    assert_eq!(count.get(), 4);
    let stats = transport.compression_stats().expect("it compresses");
    let deflate = Some(Format::Deflate);
    assert_eq!((stats.format_in, stats.format_out, stats.plain_in, stats.plain_out), (deflate, deflate, 4, 4));
}
