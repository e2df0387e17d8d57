//! Sends back every byte.

use torsade::prelude::*;

pub struct Echo;

impl Protocol for Echo {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        Ok(transport.set_tcp_nodelay(true)?)
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}
