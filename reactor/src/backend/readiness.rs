//! What a poll reports.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// What a source can do without blocking; a set of flags.
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct Ready(u8);

impl Ready {
    /// The descriptor has failed; `Stream::take_error` says why.
    pub const ERROR: Self = Self(8);
    /// Nothing: the source was called because it had queued itself.
    pub const NONE: Self = Self(0);
    /// There may be bytes to read, or connections to accept.
    pub const READABLE: Self = Self(1);
    /// The peer has ended its stream: after the last bytes, the end is read.
    pub const READ_CLOSED: Self = Self(4);
    /// There is room to write.
    pub const WRITABLE: Self = Self(2);

    /// Returns whether all flags of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags except those of `other`.
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns whether any flag of `other` is set.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Ready {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Ready {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::READABLE, "READABLE"),
            (Self::WRITABLE, "WRITABLE"),
            (Self::READ_CLOSED, "READ_CLOSED"),
            (Self::ERROR, "ERROR"),
        ];
        let set = names.iter().filter(|(flag, _)| self.contains(*flag)).map(|(_, name)| name);
        f.debug_set().entries(set).finish()
    }
}

/// Identifies a source in the reactor's table. A stale token matches no source, because it includes a generation.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Token(usize);

/// Half of the bits are the index in the table, half the generation.
const INDEX_BITS: u32 = usize::BITS / 2;
const INDEX_MASK: usize = (1 << INDEX_BITS) - 1;

impl Token {
    pub(crate) const fn new(generation: u32, index: usize) -> Self {
        // Generations with the highest bit are left out, so that no token equals the one reserved for the waker.
        Self((generation as usize & (INDEX_MASK >> 1)) << INDEX_BITS | index)
    }

    /// The token as a number, as passed to the system's poll.
    #[must_use]
    pub const fn to_usize(self) -> usize {
        self.0
    }

    /// The token that [`Token::to_usize`] came from.
    #[must_use]
    pub const fn from_usize(number: usize) -> Self {
        Self(number)
    }

    pub(crate) const fn index(self) -> usize {
        self.0 & INDEX_MASK
    }

    pub(crate) const fn generation(self) -> u32 {
        (self.0 >> INDEX_BITS) as u32
    }
}
