//! Answers each line `L` with `=L` in a compressed stream.

use torsade::prelude::*;

use crate::line::answer;

pub struct CompressedLine {
    /// One sync flush for each line, instead of one for each turn.
    pub flush_each: bool,
}

impl LineProtocol for CompressedLine {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        // The generator counts flush markers, and an announcement contains some of its own.
        Ok(transport.set_compression(Compression::deflate().announce(false))?)
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        answer(transport, line);
        if self.flush_each {
            transport.flush_compression();
        }
        Ok(())
    }
}
