//! Exercise 9: fix a server that works whenever you try it by hand.
//!
//! It adds up numbers, one on each line. Try it with nc: the sums are right. The test runs it on bad networks, and names the
//! first seed with which it is wrong; `TORSADE_SEED=N cargo test` repeats that run. What does the network do that nc does not?

use torsade::prelude::*;

/// Adds up the numbers that come, one a line.
#[derive(Default)]
struct Sum {
    total: u64,
}

impl Protocol for Sum {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        for line in data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.total += std::str::from_utf8(line)?.trim().parse::<u64>()?;
            transport.write(format!("{}\n", self.total));
        }
        Ok(())
    }
}

/// Starts the server on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    Ok(reactor.listen(endpoint, |_peer| Sum::default())?)
}

fn main() -> Result {
    let reactor = Reactor::new()?;
    let port = start(&reactor, "127.0.0.1:8000")?;
    println!("listening on {}", port.address());
    reactor.run()
}

#[cfg(test)]
pub mod check {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::time::Duration;

    use torsade::prelude::*;
    use torsade::simulated::{Faults, simulate_with};

    use super::start;

    /// Sends three numbers, and keeps what comes back.
    struct Client(Rc<RefCell<Vec<u8>>>);

    impl Protocol for Client {
        fn connection_made(&mut self, transport: &Transport) -> Result {
            transport.write("1000\n200\n34\n");
            Ok(())
        }

        fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
            self.0.borrow_mut().extend_from_slice(data);
            Ok(())
        }
    }

    #[test]
    pub fn the_sum_is_right_however_the_bytes_arrive() {
        simulate_with(&Faults::lossy(), 1..51, |simulation| {
            start(&simulation.host("10.0.0.1"), "tcp:8000").expect("it starts");
            let heard = Rc::<RefCell<Vec<u8>>>::default();
            let kept = heard.clone();
            simulation.host("10.0.0.2").connect("10.0.0.1:8000", move |_peer| Client(kept.clone())).expect("an address");
            simulation.run_for(Duration::from_secs(60))?;
            assert_eq!(String::from_utf8_lossy(&heard.borrow()), "1000\n1200\n1234\n");
            Ok::<(), torsade::simulated::SimulationError>(())
        });
    }
}
