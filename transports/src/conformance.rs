//! The conformance kit: does a protocol behave the same however its bytes arrive?
//!
//! TCP preserves the order of bytes and nothing else: what a peer wrote at once may arrive in pieces, or together with what it
//! wrote later; reading may be paused, output may back up, the end may come right after the last byte or long after it. A
//! protocol that works on one machine and fails in production most often has a bug here. A [`Conformance`] replays what a
//! peer sends in all these ways, on a simulated network, through the connection code that ships, and reports the
//! smallest change that made the protocol behave differently.

mod difference;
#[cfg(feature = "tls")]
mod keys;
mod replay;
mod watched;

use std::fmt;

use torsade_protocols::Protocol;

pub use difference::{Difference, Outcome};
use replay::{End, Replay};
pub use watched::Notes;

/// A protocol and what a peer sends to it, to be replayed in many ways.
///
/// It compares the bytes that the protocol sent, what it [noted](Notes::note), and why the connection ended. Each replay
/// has its own protocol on a simulated host; time is virtual, so timeouts cost nothing. Pieces come 1 ms apart, so a
/// protocol with timers of about that length may differ without a bug.
///
/// # Limits
/// There are about 8 replays per byte, which take from a quarter of a millisecond to a few: send a few hundred bytes, not
/// megabytes.
///
/// # Examples
/// ```
/// use torsade::prelude::*;
/// use torsade::conformance::{Conformance, Notes};
///
/// struct Upper(Notes);
///
/// impl LineProtocol for Upper {
///     fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
///         self.0.note(format!("line {}", line.escape_ascii()));
///         transport.send_line(line.to_ascii_uppercase());
///         Ok(())
///     }
/// }
///
/// let summary = Conformance::new(|notes| LineReceiver::new(Upper(notes.clone()))).send(b"one\r\ntwo\r\n").check()?;
/// assert!(summary.replays > 50);
/// # Ok::<(), torsade::conformance::Difference>(())
/// ```
pub struct Conformance<F> {
    factory: F,
    input: Vec<u8>,
    /// The positions in the input where the peer waits.
    waits: Vec<usize>,
    compression: bool,
    tls: bool,
}

/// What a successful check has done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Summary {
    /// How many times the protocol was run.
    pub replays: usize,
    /// Whether it was also run with compression.
    pub compressed: bool,
    /// Whether it was also run over TLS: with the feature `tls`, unless the protocol itself switches TLS on.
    pub tls: bool,
}

impl<F, P> Conformance<F>
where
    F: Fn(&Notes) -> P,
    P: Protocol + 'static,
{
    /// Makes a check of the protocols that `factory` builds, one for each replay.
    pub const fn new(factory: F) -> Self {
        Self { factory, input: Vec::new(), waits: Vec::new(), compression: true, tls: cfg!(feature = "tls") }
    }

    /// Adds bytes that the peer sends, a second after the previous ones.
    #[must_use]
    pub fn send(mut self, bytes: impl AsRef<[u8]>) -> Self {
        if !self.input.is_empty() {
            self.waits.push(self.input.len());
        }
        self.input.extend_from_slice(bytes.as_ref());
        self
    }

    /// Leaves out the replays with compression. They are left out anyway for a protocol that compresses by itself.
    #[must_use]
    pub const fn without_compression(mut self) -> Self {
        self.compression = false;
        self
    }

    /// Leaves out the replays over TLS. They are left out anyway for a protocol that switches TLS on by itself.
    #[must_use]
    pub const fn without_tls(mut self) -> Self {
        self.tls = false;
        self
    }

    /// Replays the input in all ways, the simplest first.
    ///
    /// # Errors
    /// [`Difference`]: the smallest change to how the bytes arrive that made the protocol behave differently.
    pub fn check(&self) -> Result<Summary, Difference> {
        let mut check = Check { kit: self, replays: 0 };
        let plain = check.whole();
        check.cuts(&plain)?;
        check.ends()?;
        check.pauses()?;
        check.back_pressure(&plain)?;
        let itself = check.run(&plain);
        let compressed = self.compression && !itself.compressed_itself;
        let tls = self.tls && !itself.tls_itself;
        for (pack, encrypt) in [(true, false), (false, true), (true, true)] {
            if pack <= compressed && encrypt <= tls {
                let base = plain.clone().layered(pack, encrypt);
                check.cuts(&base)?;
                check.back_pressure(&base)?;
            }
        }
        Ok(Summary { replays: check.replays, compressed, tls })
    }

    /// Runs [`check`](Self::check), and panics if it fails: for tests.
    ///
    /// # Panics
    /// With the text of the [`Difference`], if there is one.
    #[track_caller]
    pub fn assert(&self) {
        if let Err(difference) = self.check() {
            panic!("{difference}");
        }
    }
}

/// One check that is under way.
struct Check<'a, F> {
    kit: &'a Conformance<F>,
    replays: usize,
}

impl<F, P> Check<'_, F>
where
    F: Fn(&Notes) -> P,
    P: Protocol + 'static,
{
    /// The replay that others are compared with: all in one piece.
    fn whole(&self) -> Replay {
        Replay::new(&self.kit.input, &self.kit.waits)
    }

    fn run(&mut self, replay: &Replay) -> Outcome {
        self.replays += 1;
        replay.run(&self.kit.factory)
    }

    /// Compares two replays.
    fn compare(&mut self, one: &Replay, expected: &Outcome, other: &Replay) -> Result<(), Difference> {
        let found = self.run(other);
        if expected.is_as(&found) {
            return Ok(());
        }
        Err(Difference::new(one.describe(), other.describe(), expected.clone(), found))
    }

    /// One cut at every position; then every byte by itself.
    fn cuts(&mut self, base: &Replay) -> Result<(), Difference> {
        let whole = self.whole();
        let expected = self.run(&whole);
        self.compare(&whole, &expected, base)?;
        for cut in 1..self.kit.input.len() {
            self.compare(&whole, &expected, &base.clone().cut_at(vec![cut]))?;
        }
        let found = self.compare(&whole, &expected, &base.clone().cut_everywhere());
        found.map_err(|difference| self.fewer_cuts(&whole, &expected, base, difference))
    }

    /// Removes cuts as long as there still is a difference.
    fn fewer_cuts(&mut self, whole: &Replay, expected: &Outcome, base: &Replay, found: Difference) -> Difference {
        let mut smallest = found;
        let mut cuts: Vec<usize> = (1..self.kit.input.len()).collect();
        for cut in 1..self.kit.input.len() {
            let fewer: Vec<usize> = cuts.iter().copied().filter(|kept| *kept != cut).collect();
            if let Err(difference) = self.compare(whole, expected, &base.clone().cut_at(fewer.clone())) {
                (smallest, cuts) = (difference, fewer);
            }
        }
        smallest
    }

    /// The end of the stream at every position: long after the last byte, and right behind it.
    fn ends(&mut self) -> Result<(), Difference> {
        for length in 0..=self.kit.input.len() {
            let late = self.whole().ending(length, End::Late);
            let expected = self.run(&late);
            let soon = late.clone().ending(length, End::Soon);
            self.compare(&late, &expected, &soon)?;
            self.compare(&late, &expected, &soon.cut_everywhere())?;
        }
        Ok(())
    }

    /// A pause in every callback: after each `data_received`, and at each note.
    fn pauses(&mut self) -> Result<(), Difference> {
        for replay in [self.whole(), self.whole().cut_everywhere()] {
            let expected = self.run(&replay);
            for callback in 1..=expected.callbacks {
                self.compare(&replay, &expected, &replay.clone().pausing_at(callback))?;
            }
        }
        Ok(())
    }

    /// All input is there at once, and a single unsent byte congests the connection.
    fn back_pressure(&mut self, base: &Replay) -> Result<(), Difference> {
        let whole = self.whole();
        let expected = self.run(&whole);
        self.compare(&whole, &expected, &base.clone().congested())
    }
}

impl<F> fmt::Debug for Conformance<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conformance").field("input", &self.input.escape_ascii().to_string()).finish_non_exhaustive()
    }
}
