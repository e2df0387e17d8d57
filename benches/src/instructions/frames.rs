//! Sends back each frame as it came.

use torsade::prelude::*;

use crate::records::Records;

pub struct Echo;

impl FrameProtocol<Records> for Echo {
    fn frame_received(&mut self, transport: &FrameTransport, (kind, value): (u8, &[u8])) -> Result {
        let length = u16::try_from(value.len())?.to_be_bytes();
        transport.write_sequence(&[&[kind], &length, value]);
        Ok(())
    }
}

impl StringProtocol for Echo {
    fn string_received(&mut self, transport: &StringFrameTransport, string: &[u8]) -> Result {
        Ok(transport.send_string(string)?)
    }
}
