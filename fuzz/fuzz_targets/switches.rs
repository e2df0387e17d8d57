//! A line receiver whose lines make it expect compression and switch to raw mode and back, also inside a compressed stream:
//! however the wire is cut, it receives the lines and raw bytes that the peer meant, in order.
#![no_main]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use torsade::prelude::*;
use torsade::{AfterEnd, MemoryReactor};
use torsade_fuzz::{Cut, reference};

/// What was received, in order, with adjacent raw bytes in one piece.
#[derive(Clone, Debug, Default, PartialEq)]
struct Heard(Vec<(bool, Vec<u8>)>);

impl Heard {
    fn line(&mut self, line: &[u8]) {
        self.0.push((false, line.to_vec()));
    }

    fn raw(&mut self, data: &[u8]) {
        match self.0.last_mut() {
            _ if data.is_empty() => {}
            Some((true, raw)) => raw.extend_from_slice(data),
            _ => self.0.push((true, data.to_vec())),
        }
    }
}

struct Obedient {
    heard: Rc<RefCell<Heard>>,
    raw_left: usize,
    pausing: bool,
    reason: Rc<RefCell<Option<Reason>>>,
}

impl LineProtocol for Obedient {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        self.heard.borrow_mut().line(line);
        match *line {
            [b'r', count] => {
                self.raw_left = usize::from(count);
                transport.set_raw_mode();
            }
            [b'z', format] => {
                let stream = Decompression::from(Format::ALL[usize::from(format) % 5]).after_end(AfterEnd::Plain);
                transport.expect_compression(stream)?;
            }
            _ => {}
        }
        if self.pausing {
            transport.pause_producing();
            let paused = transport.clone();
            transport.reactor().call_later(Duration::ZERO, move || paused.resume_producing());
        }
        Ok(())
    }

    fn raw_data_received(&mut self, transport: &LineTransport, data: &[u8]) -> Result {
        let (taken, rest) = data.split_at(self.raw_left.min(data.len()));
        self.heard.borrow_mut().raw(taken);
        self.raw_left -= taken.len();
        if self.raw_left == 0 {
            transport.set_line_mode(rest);
        }
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, reason: &Reason) -> Result {
        self.reason.replace(Some(reason.clone()));
        Ok(())
    }
}

/// What the peer sends, and what that means.
#[derive(Default)]
struct Script {
    wire: Vec<u8>,
    /// What is to be compressed, and how.
    inside: Option<(Format, Vec<u8>)>,
    meant: Heard,
}

impl Script {
    fn read(steps: &[u8]) -> Self {
        let mut script = Self::default();
        for step in steps.chunks_exact(2) {
            let &[action, value] = step else { break };
            match action % 8 {
                // The count may be neither an end of line nor 0, since raw bytes would then be waited for that never come.
                0 if value != b'\n' && value > 0 => {
                    script.line(&[b'r', value]);
                    let raw: Vec<u8> = (0..value).map(|at| if at % 5 == 0 { b'\n' } else { at ^ action }).collect();
                    script.put(&raw);
                    script.meant.raw(&raw);
                }
                1 | 2 if script.inside.is_none() && value != b'\n' => {
                    script.line(&[b'z', value]);
                    script.inside = Some((Format::ALL[usize::from(value) % 5], Vec::new()));
                }
                3 => script.end_stream(),
                _ => script.line(&vec![b'a' + action % 8; usize::from(value)]),
            }
        }
        script.end_stream();
        script
    }

    fn line(&mut self, line: &[u8]) {
        self.put(&[line, b"\n"].concat());
        self.meant.line(line);
    }

    fn put(&mut self, data: &[u8]) {
        match &mut self.inside {
            Some((_, plain)) => plain.extend_from_slice(data),
            None => self.wire.extend_from_slice(data),
        }
    }

    fn end_stream(&mut self) {
        if let Some((format, plain)) = self.inside.take() {
            self.wire.extend(reference::write(format, plain.len() as u32, &plain, None, None));
        }
    }
}

fn play(pieces: &[&[u8]], pausing: bool) -> Heard {
    let reactor = MemoryReactor::new();
    let (heard, reason) = (Rc::new(RefCell::new(Heard::default())), Rc::new(RefCell::new(None)));
    let (kept, told) = (Rc::clone(&heard), Rc::clone(&reason));
    let factory = move |_peer| {
        let protocol = Obedient { heard: Rc::clone(&kept), raw_left: 0, pausing, reason: Rc::clone(&told) };
        LineReceiver::new(protocol).delimiter(b"\n")
    };
    let address = "10.0.0.1:7".parse::<std::net::SocketAddr>().expect("an address");
    let _port = reactor.listen_tcp("10.0.0.1:7", factory).expect("it is free");
    let peer =
        reactor.connect_peer("10.0.0.2:49152".parse::<std::net::SocketAddr>().expect("an address"), address).expect("it listens");
    for piece in pieces {
        peer.send(piece);
        reactor.advance(Duration::ZERO);
    }
    peer.end();
    // A paused receiver takes one turn for each line, and each of these calls runs a thousand turns.
    (0..10).for_each(|_| reactor.advance(Duration::ZERO));
    assert!(matches!(*reason.borrow(), Some(Reason::ConnectionDone)), "{:?} after {:?}", reason.borrow(), heard.borrow());
    heard.take()
}

fuzz_target!(|input: &[u8]| {
    let Some((&[pausing, count], rest)) = input.split_first_chunk() else { return };
    let Some((lengths, steps)) = rest.split_at_checked(usize::from(count % 16)) else { return };
    let script = Script::read(&steps[..steps.len().min(400)]);
    let cut = Cut::at(lengths, &script.wire);
    for pieces in [&[cut.whole][..], &cut.pieces] {
        let heard = play(pieces, pausing & 1 != 0);
        let same = heard.0.iter().zip(&script.meant.0).take_while(|(heard, meant)| heard == meant).count();
        assert!(heard == script.meant, "{same} of {} are right", script.meant.0.len());
    }
});
