//! What a descriptor is waited for.

/// What a descriptor is watched for, and what it is ready for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there is no other way")]
pub enum Interest {
    /// Reading would not wait: there is input, or its end, or an error.
    Readable,
    /// Writing would not wait: there is room, or an error.
    Writable,
    /// Both; or, where it is told, either of them at the same time.
    Both,
}

impl Interest {
    /// Whether it includes reading.
    #[must_use]
    pub const fn is_readable(self) -> bool {
        matches!(self, Self::Readable | Self::Both)
    }

    /// Whether it includes writing.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        matches!(self, Self::Writable | Self::Both)
    }
}
