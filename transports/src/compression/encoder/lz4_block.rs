//! LZ4 blocks that refer to earlier ones, written with a table that lives as long as the stream.
//!
//! Each position is entered once, when its bytes are written. `lz4_flex` begins every block with an empty table, and enters all
//! of the history: for a message of 50 bytes that is nearly all of the work.

/// The shortest match.
const MATCH: usize = 4;
/// A block's last match begins at least this far from its end, and does not include its last bytes.
const LAST_MATCH: usize = 12;
const LAST_LITERALS: usize = 5;
/// From this length on, a length does not fit into half a byte, and more bytes follow.
const LONG: usize = 15;
/// The longest window: a match reaches back 65,535 bytes at most, and an entry of the table has 16 bits.
pub(super) const WINDOW: usize = 64 << 10;
/// The base-two logarithm of the table's length.
const BITS: u32 = 12;
/// After this many positions without a match the steps become a byte longer, to skip incompressible data quickly.
const PATIENCE: usize = 64;

/// The position in the window where four bytes of each hash were last seen.
///
/// An entry may belong to other bytes with the same hash, or to bytes that are gone, so the bytes at a position are always
/// compared: no content of the table can make a block wrong.
pub(super) struct Table(Box<[u16; 1 << BITS]>);

impl Table {
    /// Builds a table of the end of `window`.
    pub(super) fn new(window: &[u8]) -> Self {
        let mut table = Self(Box::new([0; 1 << BITS]));
        // Every third position, as lz4 itself does with a dictionary.
        for at in (0..window.len()).step_by(3) {
            table.replace(word(window, at), at);
        }
        table
    }

    /// Adjusts the positions after the window has lost its first bytes.
    pub(super) fn slide(&mut self, dropped: usize) {
        for entry in self.0.iter_mut() {
            *entry = entry.saturating_sub(dropped as u16); // at most WINDOW
        }
    }

    /// Enters the position of four bytes, and returns the last position with the same hash.
    fn replace(&mut self, word: u32, at: usize) -> usize {
        let hash = word.wrapping_mul(2_654_435_761) >> (u32::BITS - BITS); // Knuth's multiplicative one
        std::mem::replace(&mut self.0[hash as usize], at as u16).into()
    }
}

/// Appends a block of the bytes from `from` on, which may refer to earlier ones. The window is at most [`WINDOW`] bytes long.
pub(super) fn write(window: &[u8], from: usize, table: &mut Table, wire: &mut Vec<u8>) {
    // The end of the last block, in which no match could begin.
    for at in from.saturating_sub(LAST_MATCH)..from {
        table.replace(word(window, at), at);
    }
    let (mut literals, mut at, mut missed) = (from, from, 0);
    while at + LAST_MATCH <= window.len() {
        let wanted = word(window, at);
        let before = table.replace(wanted, at);
        if before >= at || word(window, before) != wanted {
            missed += 1;
            at += 1 + missed / PATIENCE;
            continue;
        }
        let end = at + MATCH + common_prefix(&window[at + MATCH..window.len() - LAST_LITERALS], &window[before + MATCH..]);
        let backwards = window[literals..at].iter().rev().zip(window[..before].iter().rev());
        let begin = at - backwards.take_while(|(byte, other)| byte == other).count();
        write_sequence(&window[literals..begin], Some((at - before, end - begin)), wire);
        table.replace(word(window, end - 2), end - 2);
        (literals, at, missed) = (end, end, 0);
    }
    write_sequence(&window[literals..], None, wire);
}

/// Appends literals and a match (distance and length). A block's last sequence has no match.
fn write_sequence(literals: &[u8], found: Option<(usize, usize)>, wire: &mut Vec<u8>) {
    let more = found.map_or(0, |(_, length)| length - MATCH);
    wire.push((literals.len().min(LONG) << 4 | more.min(LONG)) as u8);
    write_rest_of_length(literals.len(), wire);
    wire.extend_from_slice(literals);
    if let Some((distance, _)) = found {
        wire.extend_from_slice(&(distance as u16).to_le_bytes()); // less than WINDOW
        write_rest_of_length(more, wire);
    }
}

fn write_rest_of_length(length: usize, wire: &mut Vec<u8>) {
    let Some(mut rest) = length.checked_sub(LONG) else { return };
    while rest >= 255 {
        wire.push(255);
        rest -= 255;
    }
    wire.push(rest as u8);
}

/// Four bytes as a number; zero beyond the end, where no match is searched.
fn word(window: &[u8], at: usize) -> u32 {
    window.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_le_bytes(*word))
}

/// The length of the common prefix of two slices.
fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    let (words, _) = one.as_chunks();
    let (others, _) = other.as_chunks();
    let mut length = 0;
    for (word, other) in words.iter().zip(others) {
        let difference = u64::from_le_bytes(*word) ^ u64::from_le_bytes(*other);
        if difference != 0 {
            return length + difference.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    length + one[length..].iter().zip(&other[length..]).take_while(|(byte, other)| byte == other).count()
}

#[cfg(test)]
mod tests {
    use lz4_flex::block::decompress_into_with_dict;
    use proptest::prelude::{any, prop, prop_assert, proptest};

    use super::*;

    fn read(block: &[u8], before: &[u8], length: usize) -> Vec<u8> {
        let mut plain = vec![0; length];
        let made = decompress_into_with_dict(block, &mut plain, before).unwrap();
        plain.truncate(made);
        plain
    }

    #[test]
    fn long_lengths_and_far_matches_are_written_as_lz4_reads_them() {
        let noise: Vec<u8> = (0..30_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for literals in [0, 1, 14, 15, 16, 269, 270, 271, 5000] {
            for length in [4, 18, 19, 20, 273, 274, 275, 20_000] {
                let mut window = noise.clone();
                let from = window.len();
                window.extend((0..literals).map(|at| (at * at) as u8));
                window.extend_from_within(..length);
                window.extend_from_slice(b"the end: here");
                let mut block = Vec::new();
                write(&window, from, &mut Table::new(&window[..from]), &mut block);
                assert!(read(&block, &window[..from], WINDOW) == window[from..], "{literals} literals, {length} alike");
                if literals == 0 {
                    assert!(length < 20 || block.len() < length, "{length} bytes became {}", block.len());
                }
            }
        }
    }

    proptest! {
        /// Whatever the table holds: it may be of another window.
        #[test]
        fn blocks_are_read_as_they_were_written(
            pieces in prop::collection::vec((0usize..400, 1usize..40, any::<u8>()), 1..60),
            cut in 0usize..500,
            stale in any::<u64>(),
        ) {
            let mut table = Table::new(&stale.to_le_bytes().repeat(1000));
            let mut window = Vec::new();
            for (length, period, seed) in pieces {
                let from = window.len();
                window.extend((0..length).map(|at| seed.wrapping_add((at % period * 7) as u8)));
                let mut block = Vec::new();
                write(&window, from, &mut table, &mut block);
                prop_assert!(read(&block, &window[..from], length) == window[from..]);
                if window.len() > 2000 {
                    window.drain(..cut);
                    table.slide(cut);
                }
            }
        }
    }
}
