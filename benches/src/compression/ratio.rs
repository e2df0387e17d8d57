//! What is left of messages on the wire: by format, level, size, and how many of them share a flush.

use torsade::prelude::*;
use torsade_bench::events;

use super::link::Link;

const SIZES: [usize; 4] = [50, 200, 1024, 16 << 10];

pub fn run() -> Result {
    let events = events();
    let plain = &events[..1 << 20];
    println!("{:38} {:>7} {:>7} {:>7} {:>7}", "wire bytes in % of plain ones", "50 B", "200 B", "1 KiB", "16 KiB");
    for (format, level) in
        [(Format::Deflate, 1), (Format::Deflate, 6), (Format::Deflate, 9), (Format::Zstd, 1), (Format::Zstd, 3), (Format::Lz4, 1)]
    {
        row(&format!("{format} level {level}, a flush each"), plain, 1, || Compression::from(format).level(level))?;
    }
    row("deflate level 6, partial, a flush each", plain, 1, || Compression::deflate().flush(Flush::Partial))?;
    for group in [4, 16] {
        row(&format!("deflate level 6, a flush for {group}"), plain, group, Compression::deflate)?;
    }
    row("deflate level 6, a barrier each", plain, 0, Compression::deflate)
}

/// One line; a group of none stands for a barrier after each message. A format that is not built in has no line.
fn row(what: &str, plain: &[u8], group: usize, options: impl Fn() -> Compression) -> Result {
    let mut line = format!("{what:38}");
    for size in SIZES {
        let link = Link::to_a_sink()?;
        if link.transport.set_compression::<Compression>(options()).is_err() {
            return link.close();
        }
        for messages in plain.chunks(size * group.max(1)) {
            messages.chunks(size).for_each(|message| link.transport.write(message));
            if group == 0 { link.transport.compression_barrier() } else { link.transport.flush_compression() }
        }
        link.drain()?;
        let share = link.transport.compression_stats().and_then(|stats| stats.ratio_out()).unwrap_or_default();
        line += &format!(" {:7.1}", 100.0 * share);
        link.close()?;
    }
    println!("{line}");
    Ok(())
}
