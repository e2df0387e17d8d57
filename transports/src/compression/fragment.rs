//! Shared bytes, compressed once for all streams with the same settings.

use std::rc::Rc;

use torsade_protocols::SharedBytes;
#[cfg(feature = "zstd")]
use zstd::zstd_safe::CDict;

use super::checksum::Sums;

/// A piece of a compressed stream that fits into any stream of its kind, at a byte boundary between two blocks: it
/// refers to nothing before it.
pub(super) struct Fragment {
    kind: Kind,
    /// The checksums of the plain bytes.
    pub(super) sums: Sums,
    pub(super) wire: SharedBytes,
}

/// Everything that determines the bytes of a fragment.
#[derive(Clone)]
pub(super) enum Kind {
    /// Blocks that end with a sync flush, for raw deflate, zlib and gzip.
    Deflate { level: u8 },
    /// Blocks of a frame.
    #[cfg(feature = "lz4")]
    Lz4,
    /// A frame. The dictionary is one of the reactor's digests, of which there is one per dictionary and level.
    #[cfg(feature = "zstd")]
    Zstd { level: u32, dictionary: Option<Rc<CDict<'static>>> },
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Deflate { level }, Self::Deflate { level: other }) => level == other,
            #[cfg(feature = "lz4")]
            (Self::Lz4, Self::Lz4) => true,
            #[cfg(feature = "zstd")]
            (Self::Zstd { level, dictionary }, Self::Zstd { level: at, dictionary: other }) => {
                let same = match (dictionary, other) {
                    (None, None) => true,
                    (Some(dictionary), Some(other)) => Rc::ptr_eq(dictionary, other),
                    _ => false,
                };
                level == at && same
            }
            #[cfg(any(feature = "lz4", feature = "zstd"))]
            _ => false,
        }
    }
}

impl Fragment {
    /// The fragment of these bytes, and whether it was just made by `compress`; `None` if they are not marked
    /// [`compressed_once`](SharedBytes::compressed_once), or are compressed in too many ways already.
    pub(super) fn of<E>(
        plain: &SharedBytes,
        kind: &Kind,
        compress: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Option<(Rc<Self>, bool)>, E> {
        plain.form(
            |fragment: &Self| fragment.kind == *kind,
            || Ok(Self { kind: kind.clone(), sums: Sums::of(plain), wire: SharedBytes::new(compress()?.into_boxed_slice()) }),
        )
    }
}
