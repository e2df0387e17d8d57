//! An announcement where nobody looks for one, so that its stream is delivered as it is. Found only where looking costs
//! next to nothing: it is for the log.

use torsade_protocols::Format;

use super::announcement::{self, Place, Verdict};
use super::sniffer::marks;

/// So many plain bytes at the beginning of a connection are searched; behind them only the beginning of each read is.
const SEARCHED: usize = 4096;

/// Whether it is worth while to [`find`] an announcement in these bytes: the fourth tells it of all text.
#[inline]
pub(crate) fn is_worth_a_look(plain: &[u8], before: u64) -> bool {
    // It is ff in a raw stream, fd in zstd's, and 00 in the others.
    let fourth = plain.get(3).is_some_and(|byte| byte.wrapping_add(3) < 4);
    before < SEARCHED as u64 || fourth && matches!(plain.first(), Some(0x78 | 0xa8 | 0x1f | 0x28))
}

/// The format that is announced in `plain`, which was read at once behind `before` bytes, and how many bytes went before
/// the announcement.
#[cold]
pub(crate) fn find(plain: &[u8], before: u64) -> Option<(Format, u64)> {
    let announced = |at: usize| {
        let passed = before + at as u64;
        match announcement::recognise(&plain[at..], Place::after(passed)) {
            Verdict::Whole { format, .. } => Some((format, passed)),
            Verdict::Plain | Verdict::Prefix => None,
        }
    };
    let searched = &plain[..plain.len().min(SEARCHED)];
    let marked = marks(searched).flat_map(|(at, headers)| headers.iter().filter_map(move |&len| at.checked_sub(len)));
    announced(0).or_else(|| marked.filter(|_| before < SEARCHED as u64).find_map(announced))
}
