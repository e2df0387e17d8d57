//! Announcements on connections where detection is off, so that the compressed bytes reach the protocol. They are only logged,
//! and found only where looking costs next to nothing.

use torsade_protocols::Format;

use super::announcement::{self, Position, Verdict};
use super::sniffer::marks;

/// How many plain bytes at the start of a connection are searched; later, only the beginning of each read is.
const SEARCHED: usize = 4096;

/// Whether it is worth while to [`find`] an announcement in these bytes: its fourth byte distinguishes it from text.
#[inline]
pub(crate) fn may_announce(plain: &[u8], before: u64) -> bool {
    // It is ff in raw deflate, fd in zstd, and 00 in the others; after a zlib header that names a dictionary, anything.
    let fourth = plain.get(3).is_some_and(|byte| byte.wrapping_add(3) < 4) || plain.get(1) == Some(&0xbb);
    before < SEARCHED as u64 || fourth && matches!(plain.first(), Some(0x78 | 0xa0 | 0x1f | 0x28))
}

/// The format that is announced in `plain`, one read after `before` bytes, and how many bytes preceded the announcement.
#[cold]
pub(crate) fn find(plain: &[u8], before: u64) -> Option<(Format, u64)> {
    let searched = &plain[..plain.len().min(SEARCHED)];
    // Every announcement has zeros, and text has none.
    memchr::memchr(0, searched)?;
    let announced = |at: usize| {
        let passed = before + at as u64;
        match announcement::recognise(&plain[at..], Position::after(passed)) {
            Verdict::Whole { format, .. } => Some((format, passed)),
            Verdict::Plain | Verdict::Prefix { .. } => None,
        }
    };
    let marked = marks(searched).flat_map(|(at, headers)| headers.iter().filter_map(move |&len| at.checked_sub(len)));
    announced(0).or_else(|| marked.filter(|_| before < SEARCHED as u64).find_map(announced))
}
