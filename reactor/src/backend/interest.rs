//! Readiness to wait for.

/// What a descriptor is watched for, and what it is ready for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there is no other way")]
pub enum Interest {
    /// Reading would not block: there is input, its end, or an error.
    Readable,
    /// Writing would not block: there is room, or an error.
    Writable,
    /// Both; as a result, either or both at the same time.
    Both,
}

impl Interest {
    /// Returns whether it includes reading.
    #[must_use]
    pub const fn is_readable(self) -> bool {
        matches!(self, Self::Readable | Self::Both)
    }

    /// Returns whether it includes writing.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        matches!(self, Self::Writable | Self::Both)
    }
}
