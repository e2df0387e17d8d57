//! Both ends of one connection write, switch compression on and off, with dictionaries and without, flush, put barriers, pause
//! and half-close, on a network that cuts at random: each receives what the other wrote, or the formats' own libraries read that
//! from the wire.
#![no_main]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation};
use torsade::{AfterEnd, Dictionary};
use torsade_fuzz::reference::{self, End};

/// One stretch of what an end has written.
#[derive(Debug)]
enum Stretch {
    Plain(Vec<u8>),
    /// A stream that is never written to or flushed is not `opened`, and leaves no bytes.
    Stream {
        format: Format,
        plain: Vec<u8>,
        opened: bool,
        dictionary: Option<Dictionary>,
    },
}

#[derive(Clone, Default)]
struct Side(Rc<RefCell<SideState>>);

#[derive(Default)]
struct SideState {
    transport: Option<Transport>,
    written: Vec<Stretch>,
    closed: bool,
    heard: Vec<u8>,
    reason: Option<Reason>,
    /// It reads the wire without decompressing.
    raw: bool,
}

impl Protocol for Side {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        let mut state = self.0.borrow_mut();
        state.transport = Some(transport.clone());
        // Of dictionaries without an id the last one is used: that of raw deflate.
        let limits = [Format::Zstd, Format::Deflate]
            .map(reference::dictionary)
            .iter()
            .fold(Decompression::deflate().after_end(AfterEnd::Plain), |limits, dictionary| limits.dictionary(dictionary));
        transport.set_decompression_limits(&limits);
        transport.set_detection(if state.raw { Detect::Off } else { Detect::Anywhere });
        transport.set_read_while_congested(true);
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        assert!(data.len() <= 1 << 16, "{} bytes at once", data.len());
        self.0.borrow_mut().heard.extend_from_slice(data);
        Ok(())
    }

    fn read_connection_lost(&mut self, _transport: &Transport) -> Result {
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &Transport, reason: &Reason) -> Result {
        self.0.borrow_mut().reason = Some(reason.clone());
        Ok(())
    }
}

impl Side {
    fn transport(&self) -> Transport {
        self.0.borrow().transport.clone().expect("it is connected")
    }

    fn write(&self, data: &[u8]) {
        let mut state = self.0.borrow_mut();
        if state.closed {
            return;
        }
        match state.written.last_mut() {
            Some(Stretch::Plain(plain)) => plain.extend_from_slice(data),
            Some(Stretch::Stream { plain, opened, .. }) => {
                plain.extend_from_slice(data);
                *opened |= !data.is_empty();
            }
            None => state.written.push(Stretch::Plain(data.to_vec())),
        }
    }

    /// `reader` decides whether a second stream may follow: detection finds only one in each direction.
    fn compress(&self, choice: u8, options: u8, reader: &Self) {
        let format = Format::ALL[usize::from(choice) % 5];
        let raw = reader.0.borrow().raw;
        let state = self.0.borrow();
        let second = state.written.iter().any(|stretch| matches!(stretch, Stretch::Stream { .. }));
        let written: usize = state.written.iter().map(Stretch::len).sum();
        drop(state);
        // lz4 in mid-stream has to be expected, and zstd's library does not report where a frame ends after a barrier.
        if (!raw && (second || (format == Format::Lz4 && written > 0))) || (raw && matches!(format, Format::Zstd | Format::Lz4)) {
            return;
        }
        let flush = match options & 3 {
            0 => Flush::Manual,
            1 => Flush::After { bytes: usize::from(options) * 20, delay: Duration::from_millis(20) },
            2 => Flush::EveryTurn,
            _ if choice & 64 == 0 => Flush::Partial,
            _ => Flush::Sync,
        };
        let compression = Compression::from(format).flush(flush).history([0, 300, 5000, 32 << 10][usize::from(options >> 2) & 3]);
        let dictionary = (choice & 32 != 0 && format != Format::Gzip).then(|| reference::dictionary(format));
        let compression = dictionary.iter().fold(compression, Compression::dictionary);
        let compression = if format == Format::Lz4 { compression } else { compression.level(u32::from(options >> 4) % 10) };
        if self.transport().set_compression(compression).is_ok() {
            if self.0.borrow().raw {
                // Otherwise it would detect an answer in kind.
                self.transport().set_detection(Detect::Off);
            }
            let mut state = self.0.borrow_mut();
            // In the same format the running stream goes on.
            if !state.closed && !matches!(state.written.last(), Some(Stretch::Stream { .. })) {
                state.written.push(Stretch::Stream { format, plain: Vec::new(), opened: false, dictionary });
            }
        }
    }

    fn flush(&self) {
        self.transport().flush_compression();
        let mut state = self.0.borrow_mut();
        if !state.closed
            && let Some(Stretch::Stream { opened, .. }) = state.written.last_mut()
        {
            *opened = true;
        }
    }

    /// Not in zstd, where a barrier begins a new frame: to a reader that expects plain bytes after the end, it is plain.
    fn barrier(&self) {
        let zstd = matches!(self.0.borrow().written.last(), Some(Stretch::Stream { format: Format::Zstd, .. }));
        if !zstd {
            self.transport().compression_barrier();
        }
    }

    fn end_compression(&self) {
        self.transport().end_compression();
        let mut state = self.0.borrow_mut();
        if !state.closed && matches!(state.written.last(), Some(Stretch::Stream { .. })) {
            state.written.push(Stretch::Plain(Vec::new()));
        }
    }

    fn plain(&self) -> Vec<u8> {
        self.0.borrow().written.iter().flat_map(|stretch| stretch.plain().iter().copied()).collect()
    }

    fn check(&self, sender: &Self) {
        let state = self.0.borrow();
        assert!(matches!(state.reason, Some(Reason::ConnectionDone)), "{:?}", state.reason);
        if !state.raw {
            let written = sender.plain();
            let same = state.heard.iter().zip(&written).take_while(|(heard, written)| heard == written).count();
            assert!(state.heard == written, "{} of {} bytes, {same} the same", state.heard.len(), written.len());
            return;
        }
        let mut wire = state.heard.as_slice();
        for stretch in &sender.0.borrow().written {
            match stretch {
                Stretch::Plain(plain) => {
                    wire = wire.strip_prefix(plain.as_slice()).expect("plain bytes leave as they are");
                }
                Stretch::Stream { opened: false, .. } => {}
                Stretch::Stream { format, plain, dictionary, .. } => {
                    let read = reference::read(*format, wire, usize::MAX, dictionary.as_ref());
                    assert!(read.plain == *plain, "{format}: {} of {} bytes", read.plain.len(), plain.len());
                    let End::Over(Some(length)) = read.end else { panic!("{format}: {:?}", read.end) };
                    wire = &wire[length..];
                }
            }
        }
        assert!(wire.is_empty(), "{} bytes more than were written", wire.len());
    }
}

impl Stretch {
    fn plain(&self) -> &[u8] {
        match self {
            Self::Plain(plain) | Self::Stream { plain, .. } => plain,
        }
    }

    fn len(&self) -> usize {
        self.plain().len()
    }
}

/// Bytes that compress well, a little, or not at all.
fn data(kind: u8, length: usize, number: usize) -> Vec<u8> {
    let mut state = number as u32 | 1;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    match kind % 4 {
        0 => vec![kind; length],
        1 => (0..length).map(|at| b"the same again, and a little else; "[(at + at / 500 + number) % 35]).collect(),
        2 => (0..length).map(|_| noise() & 7).collect(),
        _ => (0..length).map(|_| noise()).collect(),
    }
}

fn play(input: &[u8]) -> Option<()> {
    let (&[seed, segment, modes], steps) = input.split_first_chunk()?;
    let segment = 1..=usize::from(segment) * usize::from(segment) + 1;
    // Small segments take long.
    let mut budget = (segment.end() * 1000).min(1 << 17);
    let simulation = Simulation::with_faults(seed.into(), Faults { segment, ..Faults::calm() });
    simulation.set_logging(false);
    let sides = [Side::default(), Side::default()];
    sides[0].0.borrow_mut().raw = modes & 1 != 0;
    sides[1].0.borrow_mut().raw = modes & 2 != 0;
    let (server, client) = (simulation.host("10.0.0.1"), simulation.host("10.0.0.2"));
    let [a, b] = sides.clone();
    let port = server.listen_tcp("0.0.0.0:7", move |_peer| a.clone()).expect("the port is free");
    let _connector = client.connect_tcp("10.0.0.1:7", move |_peer| b.clone()).expect("an address");
    let connected = || sides.iter().all(|side| side.0.borrow().transport.is_some());
    simulation.run_until(connected).expect("they connect");
    for (number, step) in steps.chunks_exact(3).take(60).enumerate() {
        let &[action, one, two] = step else { break };
        let (side, reader) = if action & 0x80 == 0 { (&sides[0], &sides[1]) } else { (&sides[1], &sides[0]) };
        let transport = side.transport();
        match action & 15 {
            0..4 => {
                let length = (usize::from(two) << (one >> 4)).min(budget);
                budget -= length;
                let data = data(one, length, number);
                side.write(&data);
                transport.write(&data);
            }
            4 | 5 => side.compress(one, two, reader),
            6 => side.flush(),
            7 => side.barrier(),
            8 => side.end_compression(),
            9 => {
                transport.lose_write_connection();
                // What is written in the same turn is still sent.
                simulation.run_for(Duration::from_micros(1)).expect("it goes on");
                side.0.borrow_mut().closed = true;
            }
            10 => transport.pause_producing(),
            11 => transport.resume_producing(),
            12 => simulation.run_for(Duration::from_millis(u64::from(two) * 20)).expect("it goes on"),
            _ => simulation.run_for(Duration::from_micros(u64::from(two) * 20)).expect("it goes on"),
        }
    }
    for side in &sides {
        let transport = side.transport();
        transport.resume_producing();
        transport.lose_write_connection();
    }
    simulation.run_until(|| sides.iter().all(|side| side.0.borrow().reason.is_some())).expect("it ends");
    sides[0].check(&sides[1]);
    sides[1].check(&sides[0]);
    port.stop_listening();
    simulation.run_until_idle().expect("nothing is left to do");
    assert_eq!((server.source_count(), client.source_count()), (0, 0));
    Some(())
}

fuzz_target!(|input: &[u8]| {
    play(input);
});
