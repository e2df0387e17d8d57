//! Conditional and range requests for a file (RFC 9110, 13 and 14).

use std::time::{Duration, SystemTime};

use hyper::HeaderMap;
use hyper::header::{HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};

/// The part of a file to send.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it: no range was requested, or several, which a server need not support, or an invalid one.
    Whole,
    /// `count` bytes from byte `first` on.
    Bytes { first: u64, count: u64 },
    /// Nothing: the range begins after the end.
    Unsatisfiable,
}

/// Returns whether the client's copy of a file is still current (13.1.3). A condition on entity tags, which files do not have
/// here, takes precedence.
pub fn is_unchanged(headers: &HeaderMap, modified: SystemTime) -> bool {
    !headers.contains_key(IF_NONE_MATCH) && date(headers, IF_MODIFIED_SINCE).is_some_and(|since| in_seconds(modified) <= since)
}

/// The part of a file that a request asks for (14.2), or all of it if the file has changed since (13.1.5).
pub fn wanted(headers: &HeaderMap, length: u64, modified: SystemTime) -> Part {
    let same = !headers.contains_key(IF_RANGE) || date(headers, IF_RANGE) == Some(in_seconds(modified));
    let range = headers.get(RANGE).filter(|_| same).and_then(|range| range.to_str().ok());
    range.and_then(|range| parse(range, length)).unwrap_or(Part::Whole)
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

/// The time in the precision of a header.
fn in_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// The single range of a header; `None` for several ranges or invalid syntax (14.1.2).
fn parse(header: &str, length: u64) -> Option<Part> {
    let (unit, range) = header.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let range = match (first, last) {
        ("", suffix) => length.saturating_sub(number(suffix)?)..length,
        (first, "") => number(first)?..length,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..length.min(last.saturating_add(1))
        }
    };
    Some(if range.is_empty() { Part::Unsatisfiable } else { Part::Bytes { first: range.start, count: range.end - range.start } })
}

/// Digits; a number that is too large means the end of any file.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}
