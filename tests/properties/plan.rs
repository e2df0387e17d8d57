//! What one direction of a connection carries: bytes that show their position, and switches at exact positions.

use torsade::AfterEnd;
use torsade::prelude::*;

use super::chance::Chance;

/// What happens at a [`Switch`].
///
/// A layer that both sides agree to switch on (`start_tls`) would be one more variant: the sender does it in
/// `Side::pass_switches`, the receiver in `Side::take`, at the same byte.
#[derive(Clone, Debug)]
pub enum Kind {
    Compress(Compression),
    EndCompression,
}

/// What the sender does after this many bytes.
#[derive(Clone, Debug)]
pub struct Switch {
    pub at: u64,
    pub kind: Kind,
}

/// How the receiver learns of a compressed stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FoundBy {
    /// It calls `expect_compression` at the same byte.
    Agreement,
    /// Detection finds the announcement.
    Announcement(Detect),
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub switches: Vec<Switch>,
    pub found_by: FoundBy,
}

const FORMATS: &[Format] = &[
    Format::Deflate,
    Format::DeflateRaw,
    Format::Gzip,
    #[cfg(feature = "zstd")]
    Format::Zstd,
    #[cfg(feature = "lz4")]
    Format::Lz4,
];

impl Plan {
    pub fn draw(chance: &mut Chance) -> Self {
        let found_by = match chance.below(8) {
            0 | 1 => FoundBy::Agreement,
            2 => FoundBy::Announcement(Detect::Anywhere),
            3 => FoundBy::Announcement(Detect::AtStart),
            _ => return Self { switches: Vec::new(), found_by: FoundBy::Announcement(Detect::Off) },
        };
        let mut switches = Vec::new();
        let mut at = match found_by {
            FoundBy::Announcement(Detect::AtStart) => 0,
            _ if chance.one_in(3) => 0,
            _ => chance.size(1500),
        };
        // Detection finds one announcement in each direction.
        let streams = if found_by == FoundBy::Agreement { 1 + chance.below(3) } else { 1 };
        for _ in 0..streams {
            let announced = found_by != FoundBy::Agreement;
            let mut compression = draw_compression(chance, announced);
            if announced && at > 0 && compression.format == Format::Lz4 {
                // Its frames have no room for the mid-stream mark: such a stream has to be expected.
                compression = Compression::deflate();
            }
            switches.push(Switch { at, kind: Kind::Compress(compression) });
            if chance.one_in(3) {
                break;
            }
            at += chance.size(1500);
            switches.push(Switch { at, kind: Kind::EndCompression });
            at += chance.size(500);
        }
        Self { switches, found_by }
    }

    /// What the receiver expects at this position, if the sender switches there and the receiver knows it.
    pub fn expected_at(&self, at: u64) -> Option<Decompression> {
        let switch = self.agreed().find(|switch| switch.at == at)?;
        let Kind::Compress(compression) = &switch.kind else { return None };
        Some(Decompression::from(compression.format).after_end(AfterEnd::Plain))
    }

    /// The next position after this one where the receiver has something to do.
    pub fn next_expected(&self, after: u64) -> Option<u64> {
        self.agreed().map(|switch| switch.at).find(|at| *at > after)
    }

    fn agreed(&self) -> impl Iterator<Item = &Switch> {
        let agreed = self.found_by == FoundBy::Agreement;
        self.switches.iter().filter(move |switch| agreed && matches!(switch.kind, Kind::Compress(_)))
    }
}

pub fn draw_compression(chance: &mut Chance, announced: bool) -> Compression {
    let format = *chance.pick(FORMATS);
    let flush = match chance.below(5) {
        0 => Flush::Manual,
        1 => Flush::After { bytes: chance.size(2000) as usize, delay: chance.wait(std::time::Duration::from_secs(1)) },
        2 => Flush::Partial,
        _ => Flush::EveryTurn,
    };
    let compression = Compression::from(format).flush(flush).announce(announced || chance.one_in(2));
    match chance.below(4) {
        0 => compression.history(chance.below(2000) as usize),
        1 => compression.level(*format.levels().start()),
        _ => compression,
    }
}

/// `count` bytes of a stream from position `from` on. They show their position, so that lost, repeated or swapped bytes are
/// noticed.
pub fn bytes(stream: u64, from: u64, count: usize) -> Vec<u8> {
    (from..).take(count).map(|at| byte(stream, at)).collect()
}

/// Returns whether `data` are the bytes of the stream from position `from` on.
pub fn is_at(stream: u64, from: u64, data: &[u8]) -> bool {
    (from..).zip(data).all(|(at, got)| byte(stream, at) == *got)
}

fn byte(stream: u64, at: u64) -> u8 {
    // Runs of 8 that compress a little, each different from its neighbours.
    let run = (at >> 3).wrapping_add(stream << 20).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((run >> 56) as u8).wrapping_add((at & 7) as u8)
}
