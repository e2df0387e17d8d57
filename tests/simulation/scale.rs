//! A simulation of many hosts and connections, over hours of virtual time.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::Simulation;

#[test]
fn a_thousand_hosts_beat_every_minute_of_an_hour() {
    fn beat(reactor: &Reactor, beats: &Rc<Cell<u64>>) {
        beats.set(beats.get() + 1);
        let (next, beats) = (reactor.clone(), Rc::clone(beats));
        reactor.call_later(Duration::from_secs(60), move || beat(&next, &beats));
    }
    let simulation = Simulation::new(1);
    let beats = Rc::new(Cell::new(0));
    for number in 0..1000 {
        let host = simulation.host(&format!("10.1.{}.{}", number / 250, number % 250 + 1));
        let (reactor, beats) = (host.reactor().clone(), Rc::clone(&beats));
        host.call_later(Duration::from_millis(simulation.draw(60_000)), move || beat(&reactor, &beats));
    }
    simulation.run_for(Duration::from_secs(3600)).unwrap();
    assert_eq!(beats.get(), 60_000);
}

#[test]
fn a_thousand_idle_connections_beat_every_minute_of_an_hour() {
    struct Heart(Rc<Cell<u64>>);
    impl Protocol for Heart {
        fn connection_made(&mut self, transport: &Transport) -> Result {
            beat(transport);
            Ok(())
        }
        fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
            self.0.set(self.0.get() + data.len() as u64);
            Ok(())
        }
    }
    fn beat(transport: &Transport) {
        transport.write(b".");
        let next = transport.clone();
        transport.reactor().call_later(Duration::from_secs(60), move || beat(&next));
    }
    let simulation = Simulation::new(1);
    let beats = Rc::new(Cell::new(0));
    let counted = Rc::clone(&beats);
    simulation.host("10.0.0.1").listen_tcp("0.0.0.0:7", move |_peer| Heart(Rc::clone(&counted))).unwrap();
    for _ in 0..1000 {
        let counted = Rc::clone(&beats);
        simulation.host("10.0.0.2").connect_tcp("10.0.0.1:7", move |_peer: Address| Heart(Rc::clone(&counted))).unwrap();
    }
    simulation.run_for(Duration::from_secs(3599)).unwrap();
    assert_eq!(beats.get(), 2 * 1000 * 60);
}
