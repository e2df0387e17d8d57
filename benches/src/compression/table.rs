//! The size of a message on the wire and its time: by content, format, dictionary, and messages in a turn.

use std::process::Command;

use torsade::Dictionary;
use torsade::prelude::*;
use torsade_bench::{events, numbers, time};

use super::link::Link;

const MESSAGES: usize = 4096;
/// Messages of a short connection.
const SHORT: usize = 16;
const ROUNDS: usize = 3;
/// The length of the dictionary that both ends know, if they use one.
const KNOWN: usize = 16 << 10;

/// Messages of one kind, and a dictionary of others of the same kind.
struct Kind {
    name: &'static str,
    messages: Vec<Vec<u8>>,
    dictionary: Dictionary,
}

/// How messages are distributed over turns and connections.
#[derive(Clone, Copy)]
struct Use {
    name: &'static str,
    turn: usize,
    connection: usize,
}

const USES: [Use; 3] = [
    Use { name: "1 a turn", turn: 1, connection: MESSAGES },
    Use { name: "16 a turn", turn: 16, connection: MESSAGES },
    Use { name: "the first 16", turn: 1, connection: SHORT },
];

struct Row {
    name: &'static str,
    options: Option<Compression>,
    knows: bool,
    barriers: bool,
}

pub fn run() -> Result {
    let kinds = kinds();
    let reactor = Reactor::new()?;
    reactor.start_running()?;
    let columns: Vec<(&Kind, Use)> = kinds.iter().flat_map(|kind| USES.map(|way| (kind, way))).collect();
    let name = |(kind, way): &(&Kind, Use)| format!(" {}, {} |", kind.name, way.name);
    println!("| |{}", columns.iter().map(name).collect::<String>());
    println!("|---|{}", "---|".repeat(columns.len()));
    let rows: Vec<Row> = rows().into_iter().filter(Row::is_built).collect();
    let mut cells = vec![vec![(0.0, f64::MAX); columns.len()]; rows.len()];
    // All in turn, several times, so that a disturbance affects all of them.
    for _ in 0..ROUNDS {
        for (row, cells) in rows.iter().zip(&mut cells) {
            for ((kind, way), cell) in columns.iter().zip(cells) {
                let (bytes, seconds) = row.measure(&reactor, kind, *way)?;
                *cell = (bytes, cell.1.min(seconds));
            }
        }
    }
    for (row, cells) in rows.iter().zip(cells) {
        let cell = |(bytes, seconds): &(f64, f64)| format!(" {bytes:.0} B {:.1} us |", seconds * 1e6);
        println!("| {} |{}", row.name, cells.iter().map(cell).collect::<String>());
    }
    others(&kinds)
}

fn rows() -> Vec<Row> {
    let row = |name, options| Row { name, options, knows: false, barriers: false };
    let known = |name, options| Row { knows: true, ..row(name, Some(options)) };
    vec![
        row("not compressed", None),
        row("deflate 1", Some(Compression::deflate().level(1))),
        row("deflate 6 (default)", Some(Compression::deflate())),
        row("deflate 6, to another Torsade", Some(Compression::deflate().flush(Flush::Partial))),
        row("deflate 9", Some(Compression::deflate().level(9))),
        row("zstd 1", Some(Compression::zstd().level(1))),
        row("zstd 3 (default)", Some(Compression::zstd())),
        row("lz4", Some(Compression::lz4())),
        known("deflate 1, dictionary", Compression::deflate().level(1)),
        known("deflate 6, dictionary", Compression::deflate()),
        known("zstd 3, dictionary", Compression::zstd()),
        known("lz4, dictionary", Compression::lz4()),
        Row { barriers: true, ..row("deflate 6, a barrier after each turn", Some(Compression::deflate())) },
    ]
}

impl Row {
    fn is_built(&self) -> bool {
        self.options.as_ref().is_none_or(|options| match options.format {
            Format::Lz4 => cfg!(feature = "lz4"),
            Format::Zstd => cfg!(feature = "zstd"),
            _ => true,
        })
    }

    /// Bytes on the wire and seconds of our thread for a message, including the socket but not the connecting.
    fn measure(&self, reactor: &Reactor, kind: &Kind, way: Use) -> Result<(f64, f64)> {
        let options = self.options.clone().map(|options| if self.knows { options.dictionary(&kind.dictionary) } else { options });
        let (mut bytes, mut seconds) = (0, 0.0);
        for messages in kind.messages.chunks(way.connection) {
            let link = Link::on(reactor)?;
            let mut written = Ok(());
            seconds += time(|| written = self.write(&link, messages, way.turn, options.as_ref()));
            written?;
            let plain = messages.iter().map(Vec::len).sum::<usize>() as u64;
            bytes += link.transport.compression_stats().map_or(plain, |stats| stats.wire_out);
            link.close()?;
        }
        Ok((bytes as f64 / MESSAGES as f64, seconds / MESSAGES as f64))
    }

    fn write(&self, link: &Link, messages: &[Vec<u8>], turn: usize, options: Option<&Compression>) -> Result {
        if let Some(options) = options {
            link.transport.set_compression::<Compression>(options.clone())?;
        }
        for messages in messages.chunks(turn) {
            messages.iter().for_each(|message| link.transport.write(message));
            if self.barriers {
                link.transport.compression_barrier();
            }
            link.drain()?;
        }
        Ok(())
    }
}

/// A log as JSON, a chat, and bytes that do not compress; the same every time.
fn kinds() -> [Kind; 3] {
    let events = events();
    let mut lines = events.split_inclusive(|byte| *byte == b'\n');
    let mut next = numbers();
    let mut byte = || (next() >> 12) as u8;
    let mut texts = lines.by_ref().filter_map(|line| {
        let line = String::from_utf8_lossy(line);
        let (head, text) = line.rsplit_once(":\"")?;
        let user = head.split_once("\"user\":\"")?.1.split_once('"')?.0.to_owned();
        Some((user, text.trim_end_matches("\"}\n").to_owned()))
    });
    let log = texts.by_ref().take(2 * MESSAGES).enumerate().map(|(at, (user, text))| {
        let (second, milli, level) = (at / 50, at * 20 % 1000, ["info", "info", "info", "warn"][at * 7 % 4]);
        format!(
            "{{\"time\":\"2026-01-05T08:{:02}:{:02}.{milli:03}Z\",\"level\":\"{level}\",\"service\":\"orders\",\"user\":\"{user}\",\
             \"status\":{},\"message\":\"{text}\"}}\n",
            second / 60 % 60,
            second % 60,
            [200, 200, 201, 404][at * 5 % 4],
        )
    });
    let log = Kind::new("log", log.map(String::into_bytes).collect());
    let chat = texts.take(2 * MESSAGES).map(|(user, text)| format!("{user}: {}\r\n", text.get(..40).unwrap_or(&text)));
    let chat = Kind::new("chat", chat.map(String::into_bytes).collect());
    let random = (0..2 * MESSAGES).map(|_| (0..200).map(|_| byte()).collect());
    [log, chat, Kind::new("random", random.collect())]
}

impl Kind {
    /// The second half of the messages, with the end of the first as dictionary.
    fn new(name: &'static str, mut messages: Vec<Vec<u8>>) -> Self {
        let before: Vec<u8> = messages.drain(..MESSAGES).flatten().collect();
        let dictionary = Dictionary::with_id(1, &before[before.len() - KNOWN..]);
        Self { name, messages, dictionary }
    }
}

/// Other programs with the same messages, if installed: see the script.
fn others(kinds: &[Kind; 3]) -> Result {
    let folder = std::env::temp_dir().join(format!("torsade-table-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    for kind in kinds {
        let framed = kind.messages.iter().flat_map(|message| [&(message.len() as u32).to_be_bytes(), &message[..]].concat());
        std::fs::write(folder.join(kind.name), framed.collect::<Vec<u8>>())?;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/compression/others.py");
    let done = Command::new("python3").arg(script).arg(&folder).args(kinds.each_ref().map(|kind| kind.name)).status();
    std::fs::remove_dir_all(&folder)?;
    match done {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("others.py: {status}").into()),
        Err(error) => {
            println!("others are skipped: python3: {error}");
            Ok(())
        }
    }
}
