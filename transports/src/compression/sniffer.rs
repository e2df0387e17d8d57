//! Looks for an announcement in the input, and holds back bytes with which one may begin.

use std::sync::OnceLock;
use std::time::Duration;

use memchr::memmem::Finder;
use torsade_protocols::Format;

use super::announcement::{self, MAX_LEN, MID_MARK, MID_MARK_ZSTD, Position, Verdict};

/// How long a single byte is held back at the start of a connection. It may well be a whole message.
const HOLD_ONE: Duration = Duration::from_millis(250);
/// The same in mid-stream, where it is most likely just the last letter of a message.
const HOLD_ONE_MID: Duration = Duration::from_millis(25);
/// How long a longer beginning is held back. Text does not look like one, and a sender writes an announcement at once. At the
/// start of a connection, from the mark's first block on, it can be nothing else, and waits for its rest without a limit.
const HOLD_MORE: Duration = Duration::from_secs(2);

/// The receiving side while nothing has been announced.
///
/// Every byte is delivered once, in order, unless it is part of an announcement, and none is delivered while an announcement may
/// begin with it. But bytes that another program may have written are held back only for a limited time, since that program may
/// wait for an answer. If the rest of an announcement comes later, its beginning was already delivered as plain: the sniffer
/// still notices, and returns [`Found::Split`], so that the connection ends with an error instead of garbled data.
#[derive(Default)]
pub(super) struct Sniffer {
    /// Whether it also looks in mid-stream, not only at the first byte.
    anywhere: bool,
    deadline: Option<Duration>,
    /// Held-back bytes with which an announcement may begin. They do not count as passed.
    held: Vec<u8>,
    late: Option<Box<Late>>,
    /// Plain bytes delivered before `held`.
    passed: u64,
    /// It no longer looks, but held bytes still have to be delivered.
    stopped: bool,
}

/// Bytes that were delivered when their time was up, and those that followed: if they become a whole announcement, it was
/// split.
struct Late {
    /// Plain bytes delivered before them.
    at: u64,
    bytes: Vec<u8>,
}

/// What [`Sniffer::look`] found.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Found {
    /// A whole announcement, in [`Sniffer::held`].
    Announced(Format),
    /// Nothing yet. Everything offered was taken, or the room was used up.
    Nothing,
    /// The rest of an announcement whose beginning was delivered as plain.
    Split(Format),
}

impl Sniffer {
    pub(super) fn new(anywhere: bool, passed: u64) -> Self {
        Self { anywhere, passed, ..Self::default() }
    }

    /// Plain bytes delivered so far.
    pub(super) const fn passed(&self) -> u64 {
        self.passed
    }

    pub(super) const fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// Whether no announcement can come any more and nothing is held, so that bytes need not pass through here.
    pub(super) fn done(&self) -> bool {
        let looks = !self.stopped && (self.anywhere || self.passed == 0 || self.late.is_some());
        !looks && self.held.is_empty()
    }

    pub(super) fn set_anywhere(&mut self, anywhere: bool) {
        self.anywhere = anywhere;
        self.stopped = false;
    }

    /// Stops looking. Held bytes become due at once.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
        self.late = None;
        self.deadline = (!self.held.is_empty()).then_some(Duration::ZERO);
    }

    pub(super) fn held(&self) -> &[u8] {
        &self.held
    }

    /// Takes the held bytes, to be decoded.
    pub(super) fn take_held(&mut self) -> Vec<u8> {
        self.deadline = None;
        std::mem::take(&mut self.held)
    }

    /// Delivers the held bytes, since the input has ended or their time is up.
    pub(super) fn give_up(&mut self, plain: &mut Vec<u8>) {
        self.deadline = None;
        plain.extend_from_slice(&self.held);
        let held = std::mem::take(&mut self.held);
        let at = self.passed;
        self.passed += held.len() as u64;
        // If an earlier beginning is being watched, it has these bytes already.
        if !self.stopped && self.late.is_none() && !held.is_empty() {
            self.late = Some(Box::new(Late { at, bytes: held }));
        }
    }

    /// Takes bytes from the front of `wire` and appends the plain ones, at most `room`. Returns how many it took.
    pub(super) fn look(&mut self, wire: &[u8], plain: &mut Vec<u8>, room: usize, now: Duration) -> (usize, Found) {
        if let Some(format) = self.completes_late(wire) {
            return (0, Found::Split(format));
        }
        let limit = plain.len().saturating_add(room);
        let mut taken = 0;
        loop {
            // First the held bytes: each further byte decides what they are.
            while !self.held.is_empty() {
                match self.judge_held() {
                    Some(Verdict::Whole { format, .. }) => {
                        return (taken, Found::Announced(format));
                    }
                    Some(_) => match wire.get(taken) {
                        Some(&byte) => {
                            self.held.push(byte);
                            taken += 1;
                        }
                        None => {
                            self.arm(now);
                            return (taken, Found::Nothing);
                        }
                    },
                    None if plain.len() < limit => {
                        plain.push(self.held.remove(0));
                        self.passed += 1;
                    }
                    None => return (taken, Found::Nothing),
                }
            }
            self.deadline = None;
            let rest = &wire[taken..wire.len().min(taken.saturating_add(limit - plain.len()))];
            if rest.is_empty() {
                return (taken, Found::Nothing);
            }
            let before = self.first_candidate(rest);
            plain.extend_from_slice(&rest[..before]);
            self.passed += before as u64;
            taken += before;
            if before < rest.len() {
                self.held.push(rest[before]);
                taken += 1;
            }
        }
    }

    /// The verdict on the held bytes; `None` if no announcement begins with them.
    fn judge_held(&self) -> Option<Verdict> {
        let looks = !self.stopped && (self.anywhere || self.passed == 0);
        match announcement::recognise(&self.held, Position::after(self.passed)) {
            Verdict::Plain => None,
            verdict => looks.then_some(verdict),
        }
    }

    /// Restarts the time of held bytes that are due, unless it has stopped looking.
    pub(super) fn hold_on(&mut self, now: Duration) {
        if !self.stopped && self.deadline.is_some_and(|at| at <= now) {
            self.arm(now);
        }
    }

    fn arm(&mut self, now: Duration) {
        // Not in mid-stream, where somebody who chooses the plain bytes could keep their end from being delivered.
        let sure = self.passed == 0 && announcement::recognise(&self.held, Position::Start) == Verdict::Prefix { sure: true };
        // `x^` is the only beginning of more than one byte that is ordinary text.
        let short = self.held.len() == 1 || self.held == b"x^";
        let hold = match (short, self.passed) {
            (false, _) => HOLD_MORE,
            (true, 0) => HOLD_ONE,
            (true, _) => HOLD_ONE_MID,
        };
        self.deadline = (!sure).then(|| now.saturating_add(hold));
    }

    /// Where in `bytes` an announcement may begin; their length if it cannot.
    fn first_candidate(&self, bytes: &[u8]) -> usize {
        let end = bytes.len();
        if self.stopped || (!self.anywhere && self.passed > 0) {
            return end;
        }
        if self.passed == 0 && announcement::recognise(bytes, Position::Start) != Verdict::Plain {
            return 0;
        }
        if !self.anywhere {
            return end;
        }
        let position = |at: usize| Position::after(self.passed + at as u64);
        let begins = |at: &usize| {
            (self.passed + *at as u64 > 0) && announcement::recognise(&bytes[*at..], position(*at)) != Verdict::Plain
        };
        let whole = marks(bytes).flat_map(|(at, headers)| headers.iter().filter_map(move |&len| at.checked_sub(len)));
        let whole = whole.filter(begins).min();
        // An incomplete announcement can begin only in the last bytes.
        let tail = (end.saturating_sub(MAX_LEN - 1)..end).find(|at| begins(at));
        whole.into_iter().chain(tail).min().unwrap_or(end)
    }

    /// Whether `wire` completes an announcement whose beginning was already delivered.
    fn completes_late(&mut self, wire: &[u8]) -> Option<Format> {
        for &byte in wire {
            let late = self.late.as_deref_mut()?;
            late.bytes.push(byte);
            loop {
                match announcement::recognise(&late.bytes, Position::after(late.at)) {
                    Verdict::Prefix { .. } => break,
                    Verdict::Whole { format, .. } => return Some(format),
                    // Another announcement may begin with a later byte that was delivered. `look` handles the undelivered ones.
                    Verdict::Plain if self.anywhere && late.at + 1 < self.passed => {
                        late.bytes.remove(0);
                        late.at += 1;
                    }
                    Verdict::Plain => {
                        self.late = None;
                        break;
                    }
                }
            }
        }
        None
    }
}

/// The marks in `bytes`, each with the lengths of the headers that may precede it: gzip, zlib (with a
/// dictionary and without) and none, or those of zstd.
pub(super) fn marks(bytes: &[u8]) -> impl Iterator<Item = (usize, &'static [usize])> {
    static FINDERS: OnceLock<[Finder<'static>; 2]> = OnceLock::new();
    let [deflate, zstd] = FINDERS.get_or_init(|| [Finder::new(&MID_MARK), Finder::new(&MID_MARK_ZSTD)]);
    let deflate = deflate.find_iter(bytes).map(|at| (at, [10, 6, 2, 0].as_slice()));
    deflate.chain(zstd.find_iter(bytes).map(|at| (at, [10, 6].as_slice())))
}
