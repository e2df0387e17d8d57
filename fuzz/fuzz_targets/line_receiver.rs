//! A line receiver that changes modes, delimiters and limits, pauses and gives bytes back as its lines say: nothing may panic,
//! loop for ever, or be lost.
#![no_main]

use std::cell::Cell;
use std::rc::Rc;

use libfuzzer_sys::fuzz_target;
use torsade_fuzz::Cut;
use torsade_protocols::testing::StringTransportWithDisconnection;
use torsade_protocols::{LineProtocol, LineReceiver, LineTooLong, LineTransport, Result};

struct Obedient {
    received: Rc<Cell<usize>>,
    delimiter: usize,
    raw_left: usize,
}

impl Obedient {
    fn add(&self, count: usize) {
        self.received.set(self.received.get() + count);
    }
}

impl LineProtocol for Obedient {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        self.add(line.len() + self.delimiter);
        match line {
            [b'p', ..] => transport.pause_producing(),
            [b'r', count, ..] => {
                self.raw_left = usize::from(*count);
                transport.set_raw_mode();
            }
            [b'd', delimiter @ ..] if !delimiter.is_empty() => {
                self.delimiter = delimiter.len();
                transport.set_delimiter(delimiter);
            }
            [b'm', length, ..] => transport.set_max_length(usize::from(*length)),
            [b'c', ..] => self.add(transport.clear_line_buffer().len()),
            _ => {}
        }
        Ok(())
    }

    fn raw_data_received(&mut self, transport: &LineTransport, data: &[u8]) -> Result {
        let (taken, rest) = data.split_at(self.raw_left.min(data.len()));
        self.add(taken.len());
        self.raw_left -= taken.len();
        if self.raw_left == 0 {
            transport.set_line_mode(rest);
        }
        Ok(())
    }

    fn line_length_exceeded(&mut self, _: &LineTransport, line: LineTooLong<'_>) -> Result {
        self.add(line.data.len());
        Ok(())
    }
}

fuzz_target!(|input: &[u8]| {
    let Some(cut) = Cut::new(input) else { return };
    let received = Rc::new(Cell::new(0));
    let protocol = Obedient { received: Rc::clone(&received), delimiter: 1, raw_left: 0 };
    let mut connection = StringTransportWithDisconnection::new(LineReceiver::new(protocol).delimiter(b"\n"));
    for piece in &cut.pieces {
        connection.deliver(piece);
    }
    for _ in 0..=cut.whole.len() {
        connection.call(|transport| transport.resume_producing());
    }
    // The rest is one line without an end; nothing came twice.
    assert!(received.get() <= cut.whole.len());
});
