//! Answers each line `L` with `=L`, plain or compressed.

use torsade::prelude::*;

/// Lines that end in LF, with or without CR, as the load generator sends them.
pub fn receiver<L: LineProtocol>(protocol: L) -> LineReceiver<L> {
    LineReceiver::new(protocol).delimiter(b"\n")
}

pub fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn answer(transport: &Transport, line: &[u8]) {
    transport.write_sequence(&[b"=", without_cr(line), b"\r\n"]);
}

pub struct Line;

impl LineProtocol for Line {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        Ok(transport.set_tcp_nodelay(true)?)
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        answer(transport, line);
        Ok(())
    }
}

pub struct CompressedLine {
    /// One sync flush a line, instead of one a turn.
    pub flush_each: bool,
}

impl LineProtocol for CompressedLine {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        transport.set_tcp_nodelay(true)?;
        // The generator counts the markers of the flushes, and an announcement has some of its own.
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
