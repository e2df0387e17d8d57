//! A compressed stream, valid, damaged or random, that is expected or announced: cuts must not matter, the format's own library
//! must give the same bytes, and everything must end.
#![no_main]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use torsade::prelude::*;
use torsade::{AfterEnd, CompressionStats, DecompressErrorKind, MemoryReactor, Truncation};
use torsade_fuzz::Cut;
use torsade_fuzz::reference::{self, End};

const TOTAL: u64 = 1 << 21;

#[derive(Clone, Debug)]
enum How {
    Expected,
    Detected(Detect),
}

#[derive(Clone, Debug)]
struct Setting {
    how: How,
    limits: Decompression,
    /// Reading is paused after each callback, until the next turn.
    pausing: bool,
    /// The time between two pieces.
    gap: Duration,
}

#[derive(Debug, Default)]
struct Heard {
    plain: Vec<u8>,
    reason: Option<Reason>,
    stats: Option<CompressionStats>,
    trailing: Vec<u8>,
}

impl Heard {
    fn error(&self) -> Option<DecompressErrorKind> {
        match &self.reason {
            Some(Reason::Decompress(error)) => Some(error.kind.clone()),
            Some(Reason::ConnectionDone) => None,
            other => panic!("it ended with {other:?}"),
        }
    }
}

struct Listener {
    setting: Setting,
    heard: Rc<RefCell<Heard>>,
}

impl Protocol for Listener {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        match self.setting.how {
            How::Expected => transport.expect_compression(self.setting.limits.clone(), b"")?,
            How::Detected(detect) => {
                transport.set_decompression_limits(&self.setting.limits);
                transport.set_detection(detect);
            }
        }
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        assert!(data.len() <= 1 << 16, "{} bytes at once", data.len());
        self.heard.borrow_mut().plain.extend_from_slice(data);
        if self.setting.pausing {
            transport.pause_producing();
            let paused = transport.clone();
            transport.reactor().call_later(Duration::ZERO, move || paused.resume_producing());
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &Transport, reason: &Reason) -> Result {
        let mut heard = self.heard.borrow_mut();
        heard.reason = Some(reason.clone());
        heard.stats = transport.compression_stats();
        heard.trailing = transport.take_trailing();
        Ok(())
    }
}

fn play(setting: &Setting, pieces: &[&[u8]]) -> Heard {
    let reactor = MemoryReactor::new();
    let heard = Rc::new(RefCell::new(Heard::default()));
    let (setting, kept) = (setting.clone(), Rc::clone(&heard));
    let gap = setting.gap;
    let port = reactor.listen_tcp("10.0.0.1:7", move |_peer| Listener { setting: setting.clone(), heard: Rc::clone(&kept) });
    let address = "10.0.0.1:7".parse::<std::net::SocketAddr>().expect("an address");
    let peer =
        reactor.connect_peer("10.0.0.2:49152".parse::<std::net::SocketAddr>().expect("an address"), address).expect("it listens");
    reactor.advance(Duration::ZERO);
    for (number, piece) in pieces.iter().enumerate() {
        if number > 0 {
            reactor.advance(gap);
        }
        peer.send(piece);
        // Everything decompressed is delivered in these turns, of which there are at most a thousand.
        reactor.advance(Duration::ZERO);
    }
    peer.end();
    reactor.advance(Duration::ZERO);
    port.expect("it listens").stop_listening();
    reactor.advance(Duration::ZERO);
    assert!(heard.borrow().reason.is_some(), "it does not end: {:?}", heard.borrow());
    assert_eq!((reactor.source_count(), reactor.delayed_calls()), (0, 0), "something is left behind");
    heard.take()
}

/// The stream in the input: its bytes as they are, or compressed by a library, announced or not, with one byte changed.
fn wire(kind: u8, format: Format, data: &[u8]) -> Vec<u8> {
    if kind & 1 == 0 {
        return data.to_vec();
    }
    let Some((&[level, at, changes, passed], plain)) = data.split_first_chunk() else { return data.to_vec() };
    let dictionary = Some(reference::dictionary(format)).filter(|_| kind & 8 != 0 && names_dictionaries(format));
    let partial = (kind & 16 != 0).then_some(usize::from(kind >> 5) * 10 + 1);
    let mut wire = reference::write(format, level.into(), plain, dictionary.as_ref(), partial);
    let passed = if kind & 4 == 0 { 0 } else { passed };
    if kind & 2 != 0 {
        reference::announce(format, passed.into(), &mut wire, dictionary.is_some());
    }
    wire.splice(..0, (0..passed).map(|byte| byte ^ level));
    // 0 changes nothing.
    let place = usize::from(at) * wire.len() / 256;
    wire[place] ^= changes;
    wire
}

/// Returns whether streams of the format can name a dictionary, and its library supports that.
fn names_dictionaries(format: Format) -> bool {
    !matches!(format, Format::Gzip | Format::Lz4)
}

fn setting(choice: u8, options: u8, format: Format) -> Setting {
    let how = match choice % 3 {
        0 => How::Detected(Detect::AtStart),
        1 => How::Detected(Detect::Anywhere),
        _ => How::Expected,
    };
    let mut limits = Decompression::from(format).max_total(Some(TOTAL));
    limits = match options & 3 {
        0 => limits,
        1 => limits.after_end(AfterEnd::Plain),
        2 => limits.after_end(AfterEnd::Error),
        _ => limits.after_end(AfterEnd::NextStream),
    };
    limits = match (options >> 2) & 3 {
        0 | 1 => limits,
        2 => limits.truncation(Truncation::Error),
        _ => limits.truncation(Truncation::Allow),
    };
    if options & 16 != 0 {
        limits = limits.max_total(Some(100)).max_skipped(20).max_window(1 << 16);
    }
    if options & 128 != 0 && format != Format::Gzip {
        limits = limits.dictionary(&reference::dictionary(format));
    }
    let gap = if options & 64 == 0 { Duration::ZERO } else { Duration::from_millis(300) };
    Setting { how, limits, pausing: options & 32 != 0, gap }
}

/// Compares what was delivered of an expected stream with the library's result.
fn compare(setting: &Setting, wire: &[u8], heard: &Heard) {
    let format = setting.limits.format;
    let other = reference::read(format, wire, TOTAL as usize, setting.limits.dictionaries.first());
    assert!(
        heard.plain.starts_with(&other.plain) || other.plain.starts_with(&heard.plain),
        "{format}: the library gives other bytes"
    );
    if setting.limits.max_total != Some(TOTAL) || matches!(format, Format::Zstd | Format::Lz4) {
        return;
    }
    match other.end {
        End::Over(Some(length)) => {
            assert!(heard.plain.starts_with(&other.plain), "{format}: {} of {} bytes", heard.plain.len(), other.plain.len());
            let rest = &wire[length..];
            match setting.limits.after_end {
                AfterEnd::Error if !rest.is_empty() => {
                    assert_eq!(heard.error(), Some(DecompressErrorKind::TrailingData));
                    assert_eq!((heard.plain.len(), heard.trailing.as_slice()), (other.plain.len(), rest));
                }
                AfterEnd::Plain => {
                    assert_eq!(heard.error(), None);
                    assert_eq!(heard.plain, [other.plain.as_slice(), rest].concat());
                }
                _ if rest.is_empty() => {
                    assert_eq!(heard.error(), None);
                    assert_eq!(heard.plain, other.plain);
                }
                _ => {}
            }
        }
        End::Failed => assert!(heard.error().is_some(), "{format}: the library takes no such stream"),
        // The engine refuses a header at its first wrong byte, the library when it is complete.
        End::Hungry
            if wire.len() < 10
                && matches!(heard.error(), Some(DecompressErrorKind::Header | DecompressErrorKind::NeedDictionary { .. })) => {}
        End::Hungry => {
            assert_eq!(heard.plain, other.plain);
            match setting.limits.truncation {
                Truncation::Allow => assert_eq!(heard.error(), None, "{format}"),
                Truncation::Error => assert_eq!(heard.error(), Some(DecompressErrorKind::Truncated), "{format}"),
                // That depends on whether the sender flushed here, which the library does not report.
                _ => assert!(matches!(heard.error(), None | Some(DecompressErrorKind::Truncated)), "{format}"),
            }
        }
        End::Bound | End::Over(None) => {}
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&[choice, kind, options, count], rest)) = input.split_first_chunk() else { return };
    let Some((lengths, data)) = rest.split_at_checked(usize::from(count % 16)) else { return };
    let format = Format::ALL[usize::from(choice / 3) % 5];
    let setting = setting(choice, options, format);
    let wire = wire(kind, format, data);
    let cut = Cut::at(lengths, &wire);

    let heard = play(&setting, &[cut.whole]);
    let in_pieces = play(&setting, &cut.pieces);
    let timed = setting.gap > Duration::ZERO && matches!(setting.how, How::Detected(_));
    // Input that gives no data is counted after each read, so it may exceed the limit for one way of cutting and not for another.
    let skipped = |heard: &Heard| matches!(heard.error(), Some(DecompressErrorKind::Skipped { .. }));
    if skipped(&heard) != skipped(&in_pieces) {
        assert!(heard.plain.starts_with(&in_pieces.plain) || in_pieces.plain.starts_with(&heard.plain), "{format}: other bytes");
    } else if !timed {
        // If a zstd frame states a wrong size, the codec fails at the last bytes of its last block; stored bytes may or may not
        // have been delivered by then.
        let slack = if format == Format::Zstd && heard.error() == Some(DecompressErrorKind::Data) { 3 } else { 0 };
        let (fewer, more) = (&heard.plain, &in_pieces.plain);
        let (fewer, more) = if fewer.len() < more.len() { (fewer, more) } else { (more, fewer) };
        let same = more.starts_with(fewer) && more.len() - fewer.len() <= slack;
        assert!(same, "{format}: {} bytes in one piece, {} in several", heard.plain.len(), in_pieces.plain.len());
        assert_eq!(heard.error(), in_pieces.error());
    }
    for heard in [&heard, &in_pieces] {
        if heard.error().is_none() && heard.stats.is_none() {
            assert!(heard.plain == wire, "plain bytes are delivered as they are");
        }
    }
    assert!(wire.ends_with(&heard.trailing));
    if let How::Expected = setting.how {
        compare(&setting, &wire, &heard);
    }
});
