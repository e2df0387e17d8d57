//! Unfinished TLS handshakes: which ones wait, and which are ended when there are many.

#[path = "../tls/keys.rs"]
#[allow(dead_code, reason = "some of it is for other suites")]
pub(super) mod keys;

use super::*;
use torsade::tls_wrapping_factory;

/// A server protocol that echoes and records why its connection ended. With `starttls` it starts TLS itself.
struct Noting {
    reasons: Rc<RefCell<Vec<Reason>>>,
    starttls: bool,
}

impl Protocol for Noting {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        if self.starttls {
            transport.start_tls(keys::server())?;
        }
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }

    fn connection_lost(&mut self, _: &Transport, reason: &Reason) -> Result {
        self.reasons.borrow_mut().push(reason.clone());
        Ok(())
    }
}

/// How the server's handshake begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    Listening,
    StartTls,
    Wrapping,
}

/// A server on port 7 with this limit; returns the reasons of the connections that have ended.
fn serve(simulation: &Simulation, way: Way, limit: Option<usize>) -> Rc<RefCell<Vec<Reason>>> {
    let server = simulation.host(SERVER);
    if let Some(limit) = limit {
        server.set_handshake_limit(limit);
    }
    let reasons = Rc::<RefCell<Vec<Reason>>>::default();
    let noted = Rc::clone(&reasons);
    let factory = move |_peer: Address| Noting { reasons: Rc::clone(&noted), starttls: way == Way::StartTls };
    match way {
        Way::Listening => server.listen_tls("0.0.0.0:7", &keys::server(), factory),
        Way::StartTls => server.listen_tcp("0.0.0.0:7", factory),
        Way::Wrapping => server.listen_tcp("0.0.0.0:7", tls_wrapping_factory(keys::server(), factory)),
    }
    .unwrap();
    reasons
}

/// `many` peers that send three bytes of a handshake, and nothing more.
fn silent(simulation: &Simulation, many: usize) -> Vec<Rc<Peer>> {
    (0..many).map(|_| connect_with(&simulation.host("10.0.9.9"), "10.0.0.1:7", b"\x16\x03\x01")).collect()
}

fn honest(simulation: &Simulation) -> Rc<Peer> {
    let peer = Rc::new(Peer::default());
    let side = Rc::clone(&peer);
    let factory = move |_peer: Address| Side(Rc::clone(&side), b"hello");
    simulation.host("10.0.2.1").connect_tls("10.0.0.1:7", &keys::client(), factory).unwrap();
    peer
}

fn all_took_too_long(reasons: &[Reason]) -> bool {
    reasons.iter().all(|reason| matches!(reason, Reason::TimedOut(Deadline::Handshake)))
}

#[test]
fn a_thousand_unfinished_handshakes_hold_up_the_next_client_for_three_seconds_and_not_for_thirty() {
    watch();
    let simulation = Simulation::new(1);
    let reasons = serve(&simulation, Way::Listening, None);
    let silent = silent(&simulation, 1000);
    simulation.run_for(SECOND).unwrap();
    let client = honest(&simulation);
    simulation.run_for(SECOND).unwrap();
    assert_eq!((client.received.get(), reasons.borrow().len()), (0, 0), "all are recent, and keep their places");
    simulation.run_for(2 * SECOND).unwrap();
    assert_eq!((client.received.get(), reasons.borrow().len()), (5, 1), "the oldest gave up its place");
    simulation.run_for(30 * SECOND).unwrap();
    assert!(silent.iter().all(|peer| peer.lost.get()) && !client.lost.get(), "all the others at their deadline");
    assert!(reasons.borrow().len() == 1000 && all_took_too_long(&reasons.borrow()));
    assert_eq!(warnings_with("TLS handshakes are unfinished"), 1);
}

#[test]
fn clients_that_come_all_at_once_wait_for_each_other_and_none_is_cut_off() {
    let simulation = Simulation::with_faults(3, Faults { latency: 20 * MILLISECOND..=200 * MILLISECOND, ..Faults::calm() });
    let reasons = serve(&simulation, Way::Listening, Some(10));
    let clients: Vec<_> = (0..100).map(|_| honest(&simulation)).collect();
    simulation.run_for(20 * SECOND).unwrap();
    assert_eq!((served(&clients), reasons.borrow().len()), (100, 0), "{:?}", reasons.borrow());
}

#[test]
fn a_handshake_on_an_existing_connection_takes_the_place_of_the_oldest() {
    for way in [Way::StartTls, Way::Wrapping] {
        watch();
        let simulation = Simulation::new(1);
        let reasons = serve(&simulation, way, Some(5));
        let silent = silent(&simulation, 5);
        simulation.run_for(100 * MILLISECOND).unwrap();
        assert!(reasons.borrow().is_empty());
        let client = honest(&simulation);
        simulation.run_for(100 * MILLISECOND).unwrap();
        assert_eq!((client.received.get(), reasons.borrow().len()), (5, 1), "{way:?}");
        assert!(all_took_too_long(&reasons.borrow()), "{way:?}: {:?}", reasons.borrow());
        assert_eq!(silent.iter().filter(|peer| peer.lost.get()).count(), 1, "{way:?}");
        assert_eq!(warnings_with("5 TLS handshakes are unfinished"), 1, "{way:?}");
    }
}

#[test]
fn handshakes_in_which_we_are_the_client_do_not_count() {
    let simulation = Simulation::new(1);
    let server = simulation.host(SERVER);
    server.set_handshake_limit(1);
    simulation.host("10.0.2.1").listen_tcp("0.0.0.0:8", |_peer| torsade::wire::Discard).unwrap();
    let lost = Rc::new(Cell::new(0));
    for _ in 0..5 {
        let lost = Rc::clone(&lost);
        let factory = move |_peer: Address| Lost(Rc::clone(&lost));
        server.connect_tls("10.0.2.1:8", &keys::client(), factory).unwrap();
    }
    simulation.run_for(10 * SECOND).unwrap();
    assert_eq!((lost.get(), server.backend().open_streams()), (0, 5));
}

struct Lost(Rc<Cell<usize>>);

impl Protocol for Lost {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn connection_lost(&mut self, _: &Transport, _: &Reason) -> Result {
        self.0.set(self.0.get() + 1);
        Ok(())
    }
}
