//! A solution of exercise 10.

use std::time::Duration;

use torsade::Backoff;
use torsade::prelude::*;

struct Visitor {
    silence: TimeoutMixin,
    backoff: Backoff,
}

impl LineProtocol for Visitor {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        println!("connected to {}", transport.peer());
        self.silence.set_timeout(transport, Some(Duration::from_secs(30)));
        transport.send_line("Here I am.");
        Ok(())
    }

    fn line_received(&mut self, _transport: &LineTransport, line: &[u8]) -> Result {
        self.silence.reset_timeout();
        self.backoff.reset_delay(); // the server is well: after the next loss, begin with a short wait
        println!("{}", String::from_utf8_lossy(line));
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, reason: &Reason) -> Result {
        println!("disconnected: {reason}");
        Ok(())
    }
}

/// Starts the client on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Connector> {
    let factory = ReconnectingClientFactory::with_backoff(|backoff| {
        move |_peer| {
            let silence = TimeoutMixin::with(Transport::abort_connection);
            LineReceiver::new(Visitor { silence, backoff: backoff.clone() }).delimiter(b"\n")
        }
    });
    Ok(reactor.connect(endpoint, factory.max_delay(Duration::from_secs(30)))?)
}

fn main() -> Result {
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".into());
    let reactor = Reactor::new()?;
    start(&reactor, &endpoint)?;
    reactor.run()
}

#[cfg(test)]
pub mod check {
    use std::time::Duration;

    use torsade::prelude::*;
    use torsade::simulated::{Simulation, SimulationError};

    use super::start;

    /// Says something every ten seconds.
    struct Clock;

    impl Protocol for Clock {
        fn connection_made(&mut self, transport: &Transport) -> Result {
            tick(transport.clone());
            Ok(())
        }

        fn data_received(&mut self, _transport: &Transport, _data: &[u8]) -> Result {
            Ok(())
        }
    }

    fn tick(guest: Transport) {
        if guest.is_connected() {
            guest.write("tick\n");
            guest.reactor().clone().call_later(Duration::from_secs(10), move || tick(guest));
        }
    }

    #[test]
    pub fn a_cut_is_noticed_and_healed() -> Result<(), SimulationError> {
        let simulation = Simulation::new(1);
        simulation.host("10.0.0.1").listen("tcp:8000", |_peer| Clock).expect("the port is free");
        start(&simulation.host("10.0.0.2"), "10.0.0.1:8000").expect("it starts");
        simulation.run_for(Duration::from_secs(100))?;
        let visitor = || simulation.log().on("10.0.0.2");
        assert_eq!(visitor().named("connection_lost").len(), 0, "as long as lines come, it stays");
        simulation.partition("10.0.0.1", "10.0.0.2");
        simulation.run_for(Duration::from_secs(40))?;
        assert_eq!(visitor().named("connection_lost").len(), 1, "nothing has arrived for 40 s, and it has not noticed");
        simulation.heal("10.0.0.1", "10.0.0.2");
        simulation.run_for(Duration::from_secs(60))?;
        assert_eq!(visitor().named("connection_made").len(), 2, "it has not come back");
        Ok(())
    }
}
