//! An announcement where nobody looks for one, so that its stream is delivered as it is. Found only where looking costs
//! next to nothing: it is for the log.

use torsade_protocols::Format;

use super::announcement::{self, MID_MARK, MID_MARK_ZSTD, Place, Verdict};
use super::sniffer::marks;

/// So many plain bytes at the beginning of a connection are searched; behind them only the beginning of each read is.
const SEARCHED: usize = 4096;

/// The format that is announced in `plain`, which was read at once behind `before` bytes, and how many bytes went before
/// the announcement.
#[inline]
pub(crate) fn find(plain: &[u8], before: u64) -> Option<(Format, u64)> {
    if before < SEARCHED as u64 { search(plain, before) } else { begins(plain, before) }
}

/// Whether they begin with one. Almost all that people send is told from it by the first byte.
#[inline]
fn begins(plain: &[u8], before: u64) -> Option<(Format, u64)> {
    let (header, mark): (usize, &[u8]) = match plain.first()? {
        0x78 => (2, &MID_MARK),
        0xa8 => (0, &MID_MARK),
        0x1f => (10, &MID_MARK),
        0x28 => (6, &MID_MARK_ZSTD),
        _ => return None,
    };
    if plain.get(header..).is_some_and(|rest| rest.starts_with(mark)) { announced(plain, before) } else { None }
}

#[cold]
fn search(plain: &[u8], before: u64) -> Option<(Format, u64)> {
    let searched = &plain[..plain.len().min(SEARCHED)];
    let at_start = if before == 0 { announced(searched, 0) } else { None };
    let places = || marks(searched).flat_map(|(at, headers)| headers.iter().filter_map(move |&len| at.checked_sub(len)));
    at_start.or_else(|| places().find_map(|at| announced(&plain[at..], before + at as u64)))
}

fn announced(bytes: &[u8], passed: u64) -> Option<(Format, u64)> {
    match announcement::recognise(bytes, Place::after(passed)) {
        Verdict::Whole { format, .. } => Some((format, passed)),
        Verdict::Plain | Verdict::Prefix => None,
    }
}
