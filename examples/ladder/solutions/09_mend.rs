//! A solution of exercise 9.

use torsade::prelude::*;

/// Adds up the numbers that come, one a line.
#[derive(Default)]
struct Sum {
    total: u64,
}

impl LineProtocol for Sum {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        self.total += std::str::from_utf8(line)?.trim().parse::<u64>()?;
        transport.send_line(self.total.to_string());
        Ok(())
    }
}

/// Starts the server on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    Ok(reactor.listen(endpoint, |_peer| LineReceiver::new(Sum::default()).delimiter(b"\n"))?)
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
