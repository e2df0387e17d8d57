//! The character generator.

use torsade_reactor::Result;

use crate::producer::Producer;
use crate::protocol::Protocol;
use crate::transport::Transport;

/// What is sent repeatedly: Twisted's characters.
const NOISE: &[u8] = br##"@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefghijklmnopqrstuvwxyz{|}~ !"#$%&?"##;

/// Sends characters for as long as the peer takes them (RFC 864), as a pull producer.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no state")]
pub struct Chargen;

impl Protocol for Chargen {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        Ok(transport.register_producer(*self, false)?)
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn read_connection_lost(&mut self, transport: &Transport) -> Result {
        // A close would wait for the producer, which never ends by itself.
        transport.unregister_producer();
        transport.lose_connection();
        Ok(())
    }
}

impl Producer for Chargen {
    fn resume_producing(&mut self, consumer: &Transport) -> Result {
        consumer.write(NOISE);
        Ok(())
    }
}
