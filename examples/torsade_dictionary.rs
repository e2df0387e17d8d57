//! Makes dictionaries from a log of messages, and measures what they save on the first message of a stream, the first 10, the
//! first 50.
//!
//! Run:    cargo run --release --features zstd,lz4 --example torsade_dictionary LOG DICTIONARY [BYTES]
//!         LOG has one message per line, a thousand or more as they were really sent; BYTES defaults to 16384.
//! Expect: DICTIONARY for deflate and lz4 and, with the feature zstd, DICTIONARY.zstd, which contains an id; and the size in percent to
//!         which messages held out of the training compress, without a dictionary and with it.
//! Then:   in the sender Compression::zstd().dictionary(&Dictionary::new(std::fs::read("DICTIONARY.zstd")?)), in the receiver the same
//!         with Decompression. The content of a dictionary is in every copy of the program: no passwords, no names.

use std::cell::RefCell;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::{CompressionError, Dictionary, MemoryReactor};

/// The minimum length of text in a dictionary: referring to shorter text costs about as much as writing it.
const PHRASE: usize = 6;
/// One in this many messages is held out of the training.
const HELD_OUT: usize = 5;

/// Whole messages, each weighted by the text that it shares with others and that no better message has. The best is at the end,
/// where referring to it is cheapest and deflate's window loses it last.
fn train(messages: &[&[u8]], size: usize) -> Vec<u8> {
    let mut counts: HashMap<&[u8], u64> = HashMap::new();
    for message in messages {
        message.windows(PHRASE).collect::<HashSet<_>>().into_iter().for_each(|phrase| *counts.entry(phrase).or_default() += 1);
    }
    let worth = |message: &[u8], counts: &HashMap<&[u8], u64>| {
        let phrases: HashSet<_> = message.windows(PHRASE).collect();
        let shared: u64 = phrases.into_iter().map(|phrase| counts[phrase].saturating_sub(1)).sum();
        1000 * shared / message.len() as u64
    };
    let mut heap: BinaryHeap<_> = messages.iter().map(|message| (worth(message, &counts), *message)).collect();
    let (mut chosen, mut length) = (Vec::new(), 0);
    while let Some((_, message)) = heap.pop() {
        let now = worth(message, &counts);
        if now == 0 {
            continue;
        }
        // Better messages have taken some of its text since it was weighted; weights only fall.
        if heap.peek().is_some_and(|(next, _)| now < *next) {
            heap.push((now, message));
            continue;
        }
        length += message.len();
        if length > size {
            break;
        }
        chosen.push(message);
        message.windows(PHRASE).for_each(|phrase| *counts.entry(phrase).or_default() = 0);
    }
    chosen.reverse();
    chosen.concat()
}

/// Keeps the transport, for writing.
struct Writer(Rc<RefCell<Option<Transport>>>);

impl Protocol for Writer {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.0.replace(Some(transport.clone()));
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, _data: &[u8]) -> Result {
        Ok(())
    }
}

/// The compressed size of the messages in percent, if each connection carries `count` of them, each flushed.
fn share(messages: &[&[u8]], count: usize, options: &Compression) -> Result<f64> {
    let (mut plain, mut wire) = (0, 0);
    for messages in messages.chunks_exact(count) {
        let (reactor, slot) = (MemoryReactor::new(), Rc::default());
        let writer = Rc::clone(&slot);
        let _port = reactor.listen_tcp("10.0.0.1:7", move |_peer| Writer(Rc::clone(&writer)))?;
        let _peer = reactor.connect_peer(SocketAddr::from(([10, 0, 0, 2], 7)), SocketAddr::from(([10, 0, 0, 1], 7)))?;
        reactor.advance(Duration::ZERO);
        let transport: Transport = slot.borrow_mut().take().ok_or("nobody connected")?;
        transport.set_compression(options.clone())?;
        for message in messages {
            transport.write(message);
            reactor.advance(Duration::ZERO);
        }
        let stats = transport.compression_stats().unwrap_or_default();
        (plain, wire) = (plain + stats.plain_out, wire + stats.wire_out);
        transport.abort_connection();
        reactor.advance(Duration::ZERO);
    }
    Ok(100.0 * wire as f64 / plain as f64)
}

fn print_gain(held_out: &[&[u8]], format: Format, dictionary: &Dictionary) -> Result {
    // Both ends know what comes, so no announcement is needed, and Torsade can read the shorter form of a flush.
    let plain = Compression::from(format).announce(false).flush(Flush::Partial);
    let known = plain.clone().dictionary(dictionary);
    let mut line = format!("{format:12}");
    for count in [1, 10, 50] {
        let without = match share(held_out, count, &plain) {
            Err(error) if error.is::<CompressionError>() => {
                println!("{format:12} {error}");
                return Ok(());
            }
            without => without?,
        };
        let with = share(held_out, count, &known)?;
        line += &format!("  {without:4.0} -> {with:2.0} ({:.2})", with / without);
    }
    println!("{line}");
    Ok(())
}

fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [log, target, size @ ..] = arguments.as_slice() else {
        return Err("usage: torsade_dictionary LOG DICTIONARY [BYTES]".into());
    };
    let size = size.first().map_or(Ok(16 << 10), |size| size.parse())?;
    let log = std::fs::read(log)?;
    let messages: Vec<&[u8]> = log.split_inclusive(|&byte| byte == b'\n').filter(|line| line.len() > PHRASE).collect();
    let (held_out, samples): (Vec<_>, Vec<_>) = messages.iter().enumerate().partition(|(number, _)| number % HELD_OUT == 0);
    let [held_out, samples] = [held_out, samples].map(|part| part.into_iter().map(|(_, message)| *message).collect::<Vec<_>>());
    if held_out.len() < 50 {
        return Err(format!("{} messages are too few: 250 at least", messages.len()).into());
    }

    let words = train(&samples, size);
    std::fs::write(target, &words)?;
    let words = Dictionary::new(words);
    println!(
        "{} messages of {} bytes on average, {} of them held out; a dictionary of {} bytes",
        messages.len(),
        log.len() / messages.len(),
        held_out.len(),
        words.bytes().len()
    );
    println!("what is left, in percent: without -> with (their ratio), of the first message, the first 10, the first 50");
    for format in [Format::Deflate, Format::DeflateRaw, Format::Lz4] {
        print_gain(&held_out, format, &words)?;
    }
    #[cfg(feature = "zstd")]
    {
        let trained = zdict::from_samples(&samples, size)?;
        std::fs::write(format!("{target}.zstd"), &trained)?;
        print_gain(&held_out, Format::Zstd, &Dictionary::new(trained))?;
    }
    Ok(())
}
