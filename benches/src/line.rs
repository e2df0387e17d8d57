//! Answers each line `L` with `=L`.

use torsade::prelude::*;

/// Lines that end in LF, with or without CR, as the load generator sends them.
pub fn receiver<L: LineProtocol>(protocol: L) -> LineReceiver<L> {
    LineReceiver::new(protocol).delimiter(b"\n")
}

pub fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

pub fn answer(transport: &Transport, line: &[u8]) {
    transport.write_sequence(&[b"=", without_cr(line), b"\r\n"]);
}

pub struct Line;

impl LineProtocol for Line {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        answer(transport, line);
        Ok(())
    }
}
