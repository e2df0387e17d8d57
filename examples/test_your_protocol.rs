//! The conformance kit finds a bug in a line protocol that seems to work.
//!
//! Run:    cargo run --example test_your_protocol
//! Expect: the smallest change in how the bytes arrive that makes it fail; then that a LineReceiver passes.
//!         In your own project, `check` would be a test with `assert`.

use torsade::conformance::{Conformance, Notes};
use torsade::prelude::*;

/// A protocol as one first writes it: it splits what arrives at the ends of lines.
///
/// The bug: the beginning of a line passes for a whole one. With one line per packet nobody notices.
struct Naive(Notes);

impl Protocol for Naive {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        for line in data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.0.note(format!("line {}", line.escape_ascii()));
            transport.write([b"you said ", line, b"\n"].concat());
        }
        Ok(())
    }
}

/// The same with framing by a [`LineReceiver`].
struct Sound(Notes);

impl LineProtocol for Sound {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        self.0.note(format!("line {}", line.escape_ascii()));
        transport.send_line([b"you said ", line].concat());
        Ok(())
    }
}

const TRANSCRIPT: &[u8] = b"hello\nhow are you?\nbye\n";

fn main() {
    match Conformance::new(|notes| Naive(notes.clone())).send(TRANSCRIPT).check() {
        Ok(_) => println!("the bug was not found"),
        Err(difference) => println!("Naive: {difference}\n"),
    }
    match Conformance::new(|notes| LineReceiver::new(Sound(notes.clone())).delimiter(b"\n")).send(TRANSCRIPT).check() {
        Ok(summary) => println!("Sound: the same in all of {} replays", summary.replays),
        Err(difference) => println!("Sound: {difference}"),
    }
}
