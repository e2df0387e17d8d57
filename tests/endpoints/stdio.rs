//! Standard input and output as a port.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use torsade::ListenError;
use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::wire::Echo;

#[derive(Clone, Default)]
struct Noting(Rc<RefCell<Vec<&'static str>>>);

impl Factory for Noting {
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        assert_eq!(*peer, Address::Unnamed);
        self.0.borrow_mut().push("build");
        Some(Box::new(Echo))
    }

    fn start_factory(&mut self) {
        self.0.borrow_mut().push("start");
    }

    fn stop_factory(&mut self) {
        self.0.borrow_mut().push("stop");
    }
}

#[test]
fn the_one_connection_of_standard_input_and_output_is_there_from_the_beginning() {
    let simulation = Simulation::new(1);
    let host = simulation.host("10.0.0.1");
    let (console, factory) = (host.console(), Noting::default());
    let port = host.listen(ServerEndpoint::stdio(), factory.clone()).unwrap();
    assert_eq!(port.address(), Address::Unnamed);
    let Err(ListenError::Io { cause, .. }) = host.listen(ServerEndpoint::stdio(), factory.clone()) else { panic!("it is taken") };
    assert!(cause.to_string().contains("no standard input and output left"), "{cause}");
    console.type_line("hello");
    simulation.run_until(|| console.shows("hello")).unwrap();
    port.stop_listening();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(*factory.0.borrow(), ["start", "build", "stop"]);
    // The connection goes on without the port, like any other.
    console.type_line("again");
    simulation.run_until(|| console.shows("again")).unwrap();
    console.end();
    simulation.run_until(|| console.has_end()).unwrap();
}

#[test]
fn a_factory_that_refuses_closes_standard_output() {
    let simulation = Simulation::new(1);
    let host = simulation.host("10.0.0.1");
    let console = host.console();
    host.listen(ServerEndpoint::stdio(), |_peer| None::<Echo>).unwrap();
    simulation.run_until(|| console.has_end()).unwrap();
}
