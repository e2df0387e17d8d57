//! How far a stream has been read, and whether entries after that were trimmed before they were read.
//!
//! None were if the last entry that was read is still there. Otherwise they are counted: Redis says how many entries were ever
//! added and how many there are, hence how many were removed; if that is no more than had been added up to our position, none is
//! missing.

use crate::message::{Gap, MessageId};

/// Before all entries.
pub(super) const NOTHING: MessageId = MessageId { major: 0, minor: 0 };

/// What `XINFO STREAM` says about a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamInfo {
    /// The last entry that was ever added.
    pub(super) last: MessageId,
    /// How many were ever added; none before Redis 7, which does not count them.
    pub(super) added: Option<u64>,
    /// How many of these were removed.
    pub(super) removed: Option<u64>,
}

/// The result of reading from a position, with the entry at the position itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Read {
    pub(super) first: Option<MessageId>,
    pub(super) last: Option<MessageId>,
    /// How many entries are after the position.
    pub(super) count: u64,
}

/// A position in a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Cursor {
    pub(super) at: MessageId,
    /// Whether there is, or was, an entry at this position.
    is_entry: bool,
    /// How many entries had been added up to here, if known.
    added: Option<u64>,
}

impl Cursor {
    /// The start of a subscription that has everything up to `after`, or wants what is added from now on; with the gap, if there
    /// is one already. `is_kept` says whether there is an entry at `after`.
    pub(super) fn begin(after: Option<MessageId>, info: Option<StreamInfo>, is_kept: bool) -> (Self, Option<Gap>) {
        let start = Self { at: NOTHING, is_entry: false, added: Some(0) };
        match (after, info) {
            (None | Some(NOTHING), None) => (start, None),
            (Some(_), None) => (start, Some(Gap::Reset)),
            (None, Some(info)) => (Self::last_of(info), None),
            (Some(NOTHING), Some(info)) => {
                (Self { added: info.removed, ..start }, (info.removed != Some(0)).then_some(Gap::Trimmed { after: None }))
            }
            (Some(after), Some(info)) if info.last < after => (Self::last_of(info), Some(Gap::Reset)),
            (Some(after), Some(info)) if is_kept => {
                (Self { at: after, is_entry: true, added: info.added.filter(|_| info.last == after) }, None)
            }
            (Some(after), Some(info)) => {
                (Self { at: after, is_entry: false, added: info.removed }, Some(Gap::Trimmed { after: Some(after) }))
            }
        }
    }

    /// After the last entry of a stream, which may have been removed.
    fn last_of(info: StreamInfo) -> Self {
        Self { at: info.last, is_entry: info.added.is_some() && info.added != info.removed, added: info.added }
    }

    /// Whether the next reading needs `XINFO` in any case.
    pub(super) const fn wants_info(&self) -> bool {
        !self.is_entry || self.added.is_none()
    }

    /// Whether this reading needs `XINFO`.
    pub(super) fn is_unsure(&self, read: Read) -> bool {
        read.first != Some(self.at)
    }

    /// Moves on past what was read; returns the gap before it. `info` must have been asked for after the reading.
    pub(super) fn advance(&mut self, read: Read, info: Option<StreamInfo>) -> Option<Gap> {
        let before = *self;
        let is_kept = self.is_entry && read.first == Some(self.at);
        let is_counted =
            matches!((self.added, info.and_then(|info| info.removed)), (Some(added), Some(removed)) if removed <= added);
        let is_gone = info.is_none() && !is_kept;
        if is_gone && read.count == 0 {
            // There is no such stream; perhaps there never was one.
            *self = Self { at: NOTHING, is_entry: false, added: Some(0) };
            return (before.at != NOTHING).then_some(Gap::Reset);
        }
        let is_whole = is_kept || is_counted;
        self.added = self.added.map(|added| added.saturating_add(read.count)).filter(|_| is_whole);
        match read.last.filter(|last| *last > before.at) {
            Some(last) => (self.at, self.is_entry) = (last, true),
            // Each gap is reported once.
            None if !is_whole => self.added = info.and_then(|info| info.removed).or(Some(u64::MAX)),
            None => {}
        }
        if let Some(info) = info.filter(|info| info.last == self.at && self.is_entry) {
            self.added = info.added;
        }
        let after = (before.at != NOTHING).then_some(before.at);
        (!is_whole).then_some(Gap::Trimmed { after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream whose entries are numbered; the last of them are kept.
    #[derive(Clone, Copy)]
    struct Stream {
        added: u64,
        kept: u64,
    }

    const fn id(number: u64) -> MessageId {
        MessageId { major: 0, minor: number }
    }

    impl Stream {
        fn info(self) -> Option<StreamInfo> {
            let info = StreamInfo { last: id(self.added), added: Some(self.added), removed: Some(self.added - self.kept) };
            (self.added > 0).then_some(info)
        }

        fn has(self, number: u64) -> bool {
            number > self.added - self.kept && number <= self.added
        }

        /// Returns the entries from `at` on, at most `most`.
        fn read(self, at: MessageId, most: u64) -> Read {
            let from = at.minor.max(self.added - self.kept + 1);
            let to = self.added.min(from + most - 1);
            let there = |number| (from <= to).then_some(id(number));
            let count = if from <= to { to + 1 - from - u64::from(from == at.minor) } else { 0 };
            Read { first: there(from), last: there(to), count }
        }
    }

    #[test]
    fn every_hole_is_told_and_nothing_else_is() {
        let mut state = 7_u64;
        let mut draw = move |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        for _ in 0..2000 {
            let mut stream = Stream { added: 0, kept: 0 };
            let grow = |stream: &mut Stream, by: u64, keep: u64| {
                (stream.added, stream.kept) = (stream.added + by, (stream.kept + by).min(keep));
            };
            grow(&mut stream, draw(3), 5);
            let (mut cursor, gap) = Cursor::begin(None, stream.info(), false);
            assert_eq!(gap, None);
            // How many entries precede the end of the last gap that was reported.
            let mut told = 0;
            for _ in 0..30 {
                grow(&mut stream, draw(6), 1 + draw(6));
                if draw(8) == 0 {
                    // The connection is lost; the next begins after what was received.
                    let after = cursor.at;
                    let hole = if after == NOTHING { stream.added > stream.kept } else { !stream.has(after.minor) };
                    let (anew, gap) = Cursor::begin(Some(after), stream.info(), stream.has(after.minor));
                    assert_eq!(gap.is_some(), hole);
                    told = if hole { stream.added - stream.kept } else { told };
                    cursor = anew;
                    continue;
                }
                let (at, read) = (cursor.at.minor, stream.read(cursor.at, 1 + draw(5)));
                let hole = read.count > 0 && stream.added - stream.kept > at.max(told);
                let was_known = cursor.added.is_some();
                let asked = cursor.wants_info() || cursor.is_unsure(read);
                let gap = cursor.advance(read, if asked { stream.info() } else { None });
                assert!(gap.is_some() || !hole, "{stream:?} at {at}: {read:?}");
                assert!(gap.is_none() || hole || !was_known || read.count == 0, "{stream:?} at {at}: {read:?}");
                told = if gap.is_some() { stream.added - stream.kept } else { told };
            }
        }
    }

    #[test]
    fn a_stream_that_is_gone_has_begun_again() {
        let old = Stream { added: 9, kept: 9 };
        let (mut cursor, _) = Cursor::begin(None, old.info(), false);
        assert_eq!(cursor.at, id(9));
        assert_eq!(cursor.advance(Read { first: None, last: None, count: 0 }, None), Some(Gap::Reset));
        assert_eq!(cursor.advance(Read { first: None, last: None, count: 0 }, None), None);
        assert_eq!(Cursor::begin(Some(id(9)), None, false).1, Some(Gap::Reset));
        assert_eq!(Cursor::begin(Some(id(9)), Stream { added: 3, kept: 3 }.info(), false).1, Some(Gap::Reset));
    }

    impl std::fmt::Debug for Stream {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{} of {}", self.kept, self.added)
        }
    }
}
