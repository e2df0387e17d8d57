//! The port that tells the state.

use std::rc::Rc;

use torsade::prelude::*;

use super::pipeline::Pipeline;

struct Status(Rc<Pipeline>);

impl LineProtocol for Status {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        match line {
            b"stats" => self.0.stats.all().iter().for_each(|(name, value)| transport.send_line(format!("{name} {value}"))),
            b"destinations" => self.0.destinations.iter().for_each(|destination| transport.send_line(destination.status())),
            b"rules" => self.0.rules.all().for_each(|rule| transport.send_line(&rule.text)),
            b"quit" => {
                transport.lose_connection();
                return Ok(());
            }
            _ => {
                transport.send_line("error: say stats, destinations, rules or quit");
                return Ok(());
            }
        }
        transport.send_line(".");
        Ok(())
    }
}

/// What makes a connection to the status port.
pub fn status(pipeline: &Rc<Pipeline>) -> impl Factory + use<> {
    let pipeline = pipeline.clone();
    move |_peer: Address| LineOnlyReceiver::new(Status(pipeline.clone()))
}
