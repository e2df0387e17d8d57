//! Idle timeouts, and what counts as activity.

use super::*;
use torsade::policies::TimeoutFactory;

const DOWNLOAD: usize = 8 << 20;

/// When a connection was lost, and why.
type Lost = Rc<RefCell<Option<(Duration, Reason)>>>;

/// Sends a long download at once, and an answer to each request.
struct Download(Lost);

impl Protocol for Download {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.write(vec![b'd'; DOWNLOAD]);
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, requests: &[u8]) -> Result {
        transport.write("pong".repeat(requests.len() / 4));
        Ok(())
    }

    fn connection_lost(&mut self, transport: &Transport, reason: &Reason) -> Result {
        self.0.replace(Some((transport.reactor().now(), reason.clone())));
        Ok(())
    }
}

/// Sends a request each time it has received this many bytes, and stops reading after that many.
struct Reader {
    peer: Rc<Peer>,
    asks_after: Vec<usize>,
    stops_after: usize,
}

impl Protocol for Reader {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        let got = self.peer.received.get() + data.len();
        self.peer.received.set(got);
        if self.asks_after.first().is_some_and(|after| got >= *after) {
            self.asks_after.remove(0);
            transport.write("ping");
        }
        if got >= self.stops_after {
            transport.pause_producing();
        }
        Ok(())
    }

    fn connection_lost(&mut self, _: &Transport, _: &Reason) -> Result {
        self.peer.lost.set(true);
        Ok(())
    }
}

/// A download at 2.5 MB/s from a server with an idle timeout of one second, whose socket takes this many bytes at once. Returns
/// what the reader saw, and the end that the server saw.
fn download(system_takes: usize, reader: Reader) -> (Rc<Peer>, Lost, Simulation) {
    let faults = Faults { send_buffer: system_takes..=system_takes, slow: 1.0, slow_bandwidth: 2_500_000, ..Faults::calm() };
    let simulation = Simulation::with_faults(1, faults);
    let (lost, peer) = (Lost::default(), Rc::clone(&reader.peer));
    let noted = Rc::clone(&lost);
    let factory = move |_peer: Address| Download(Rc::clone(&noted));
    simulation.host(SERVER).listen_tcp("0.0.0.0:7", TimeoutFactory::new(factory).period(SECOND)).unwrap();
    let reader = RefCell::new(Some(reader));
    simulation.host("10.0.2.1").connect_tcp("10.0.0.1:7", move |_peer: Address| reader.take()).unwrap();
    (peer, lost, simulation)
}

#[test]
fn a_connection_is_not_idle_while_its_peer_takes_what_was_written_however_slowly() {
    // With the larger buffer everything is in the system's buffer long before the peer has it.
    for system_takes in [64 << 10, 16 << 20] {
        let reader = Reader { peer: Rc::default(), asks_after: vec![2 << 20, 6 << 20], stops_after: usize::MAX };
        let (peer, lost, simulation) = download(system_takes, reader);
        simulation.run_until(|| peer.lost.get() && lost.borrow().is_some()).unwrap();
        assert_eq!(peer.received.get(), DOWNLOAD + 8, "all of it, and both answers");
        let (when, reason) = lost.take().unwrap();
        assert!(reason.is_clean(), "{reason}");
        // The download takes 3.4 s.
        assert!((4.3..=4.8).contains(&when.as_secs_f64()), "a second after the last sign of life: {when:?}");
    }
}

#[test]
fn a_peer_that_takes_nothing_is_idle_however_much_waits_for_it() {
    for system_takes in [64 << 10, 16 << 20] {
        let reader = Reader { peer: Rc::default(), asks_after: Vec::new(), stops_after: 1 << 20 };
        let (peer, lost, simulation) = download(system_takes, reader);
        simulation.run_for(3 * SECOND).unwrap();
        assert!(peer.received.get() < DOWNLOAD);
        // Closing has begun: now its own deadline counts, which cuts off a peer that takes nothing.
        simulation.run_for(140 * SECOND).unwrap();
        let (when, reason) = lost.take().expect("it is over");
        assert!(matches!(reason, Reason::TimedOut(Deadline::Flush)), "{reason}");
        assert!((121.0..=138.0).contains(&when.as_secs_f64()), "{when:?}");
    }
}
