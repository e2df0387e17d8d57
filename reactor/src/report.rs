//! Reports of errors that the program does not handle.

use std::fmt;
use std::io::{self, Write};
use std::mem::size_of_val;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::escaped::Escaped;
use crate::panic::{Panic, catch};

/// The minimum time between two lines of one kind on standard error.
const INTERVAL: Duration = Duration::from_secs(1);

static PRINTED: Mutex<Printed> = Mutex::new(Printed::new());

/// Reports an error that the program does not handle: logs it at level `error`, with target `torsade`.
///
/// If the program has no logger it goes to standard error, at most one line a second for each `kind`. The number of omitted lines
/// is on the next line of that kind, or printed when the reactor's run ends. Control characters are escaped. This may be called
/// from any thread, and never panics, even if displaying the error does or standard error is closed.
///
/// The log levels, everywhere in Torsade:
///
/// - `error`: the program has failed, or does not get what it asked for, and does not handle that: a callback returns an error or
///   panics, the error of a Deferred or of a failed connection attempt is unhandled, a port cannot accept, the program lacks a
///   call that the peer's action needs. All of these go through this function.
/// - `warn`: a peer or the network is at fault, or the program has left something unfinished: invalid TLS, a damaged compressed
///   stream, a passed deadline, work that is dropped when the reactor stops.
/// - `info`: what the program does to its peers on purpose: refuse, slow down, close because of a long line.
/// - `debug`: everything ordinary, including resets.
///
/// # Examples
/// ```
/// torsade::report_error("cache", format_args!("the cache cannot be written: {}", std::fmt::Error));
/// ```
#[doc(alias = "msg")]
#[doc(alias = "Logger")]
#[doc(alias = "LogLevel")]
#[doc(alias = "ILogObserver")]
#[doc(alias = "globalLogBeginner")]
#[doc(alias = "startLogging")]
#[cold]
#[inline(never)]
pub fn report_error(kind: &'static str, text: fmt::Arguments<'_>) {
    // Displaying a user's error may panic.
    let text = catch(|| Escaped(text).to_string()).unwrap_or_else(|panic| format!("{kind}: displaying the error {panic}"));
    log::error!(target: "torsade", "{text}");
    if !is_logged() && !has_logger() {
        let left_out = printed(|printed| printed.admit(kind, Instant::now()));
        match left_out {
            Some(0) => print(&text),
            Some(left_out) => print(&format!("{text} (and {left_out} more of this kind were left out)")),
            None => {}
        }
    }
}

/// Drops a user's value, which may panic, where other work still has to be done; a panic is reported.
pub fn drop_quietly<T>(what: &str, item: T) {
    if let Err(panic) = catch(|| drop(item)) {
        report_drop(what, &panic);
    }
}

#[cold]
#[inline(never)]
fn report_drop(what: &str, panic: &Panic) {
    report_error("drop", format_args!("dropping {what} {panic}"));
}

/// Prints on standard error how many errors were omitted there, if any were.
pub(crate) fn report_left_out() {
    let left_out = printed(|printed| printed.take_left_out(Instant::now()));
    if !left_out.is_empty() {
        let counts: Vec<_> = left_out.iter().map(|(kind, count)| format!("{count} more of kind {kind}")).collect();
        print(&format!("left out: {}", counts.join(", ")));
    }
}

/// Returns whether a line at level `error` goes anywhere.
fn is_logged() -> bool {
    log::log_enabled!(target: "torsade", log::Level::Error)
}

/// Returns whether the program has set a logger, which may be a silent one.
///
/// `log` has no function for this, but its default logger has size zero.
fn has_logger() -> bool {
    size_of_val(log::logger()) > 0
}

fn print(text: &str) {
    let line = format!("torsade: error: {text}\n");
    // If standard error is closed or full, this cannot be reported anywhere.
    io::stderr().write_all(line.as_bytes()).ok();
}

fn printed<T>(work: impl FnOnce(&mut Printed) -> T) -> T {
    // Nothing panics while the lock is held.
    work(&mut PRINTED.lock().unwrap_or_else(PoisonError::into_inner))
}

struct Printed {
    /// For each kind (there are few): when its last line was printed, and how many were omitted since.
    kinds: Vec<(&'static str, Instant, u64)>,
    /// When the counts were last printed on a line of their own.
    counted: Option<Instant>,
}

impl Printed {
    const fn new() -> Self {
        Self { kinds: Vec::new(), counted: None }
    }

    /// Returns whether one more may be printed now, and if so, how many were omitted before it.
    fn admit(&mut self, kind: &'static str, now: Instant) -> Option<u64> {
        let Some((_, last, left_out)) = self.kinds.iter_mut().find(|(known, ..)| *known == kind) else {
            self.kinds.push((kind, now, 0));
            return Some(0);
        };
        if is_recent(*last, now) {
            *left_out += 1;
            return None;
        }
        *last = now;
        Some(std::mem::take(left_out))
    }

    /// The counts of omitted lines, if they may be printed now: many reactors may end one after the other.
    fn take_left_out(&mut self, now: Instant) -> Vec<(&'static str, u64)> {
        if self.counted.is_some_and(|last| is_recent(last, now)) {
            return Vec::new();
        }
        let counts = self.kinds.iter_mut().map(|(kind, _, left_out)| (*kind, std::mem::take(left_out)));
        let counts: Vec<_> = counts.filter(|(_, left_out)| *left_out > 0).collect();
        if !counts.is_empty() {
            self.counted = Some(now);
        }
        counts
    }
}

fn is_recent(last: Instant, now: Instant) -> bool {
    now.saturating_duration_since(last) < INTERVAL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_printed_once_a_second_and_the_next_line_says_how_many_were_left_out() {
        let mut printed = Printed::new();
        let start = Instant::now();
        assert_eq!(printed.admit("callback", start), Some(0));
        assert_eq!(printed.admit("callback", start), None);
        assert_eq!(printed.admit("callback", start + INTERVAL / 2), None);
        assert_eq!(printed.admit("connect", start + INTERVAL / 2), Some(0), "another kind");
        assert_eq!(printed.admit("callback", start + INTERVAL), Some(2));
        assert_eq!(printed.admit("callback", start + INTERVAL), None);
        assert_eq!(printed.take_left_out(start + INTERVAL), [("callback", 1)]);
        assert_eq!(printed.admit("callback", start + INTERVAL), None);
        assert_eq!(printed.take_left_out(start + INTERVAL), [], "too soon");
        assert_eq!(printed.take_left_out(start + 2 * INTERVAL), [("callback", 1)]);
        assert_eq!(printed.take_left_out(start + 3 * INTERVAL), [], "said once");
    }
}
