//! The dictionaries that incoming streams may have been compressed with.

#[cfg(feature = "zstd")]
use std::rc::Rc;

use torsade_protocols::{CompressionError, DecompressErrorKind as Kind, Decompression, Dictionary, Format};

use crate::compression::pool::SharedPool;

/// The dictionaries that streams of one format may ask for.
#[derive(Clone)]
pub(in crate::compression) struct Dictionaries {
    all: Vec<Known>,
    format: Format,
}

#[derive(Clone)]
pub(super) struct Known {
    dictionary: Dictionary,
    /// Only for zstd.
    #[cfg(feature = "zstd")]
    digest: Option<Rc<zstd::zstd_safe::DDict<'static>>>,
}

impl Dictionaries {
    pub(in crate::compression) const fn none(format: Format) -> Self {
        Self { all: Vec::new(), format }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The dictionaries of the options.
    ///
    /// # Errors
    /// [`CompressionError::DictionaryUnsupported`] and [`CompressionError::DictionaryInvalid`].
    #[cfg_attr(not(feature = "zstd"), expect(unused_variables, reason = "only zstd digests dictionaries"))]
    pub(in crate::compression) fn new(options: &Decompression, pool: &SharedPool) -> Result<Self, CompressionError> {
        options.check()?;
        let mut all = Vec::with_capacity(options.dictionaries.len());
        for dictionary in &options.dictionaries {
            all.push(Known {
                dictionary: dictionary.clone(),
                #[cfg(feature = "zstd")]
                digest: match options.format {
                    Format::Zstd => Some(pool.borrow_mut().digests().for_decoder(dictionary)?),
                    _ => None,
                },
            });
        }
        Ok(Self { all, format: options.format })
    }

    /// The dictionary with this id; for a stream without an id, the one without an id, if any.
    pub(super) fn find(&self, id: Option<u32>) -> Result<Option<&Known>, Kind> {
        let found = self.all.iter().rev().find(|known| known.dictionary.id(self.format) == id);
        match (found, id) {
            (None, Some(id)) => Err(Kind::NeedDictionary { id }),
            (found, _) => Ok(found),
        }
    }
}

impl Known {
    /// The last `reach` bytes, or all.
    pub(super) fn latest(&self, reach: usize) -> &[u8] {
        let bytes = self.dictionary.bytes();
        &bytes[bytes.len().saturating_sub(reach)..]
    }

    /// The dictionary as zstd needs it.
    #[cfg(feature = "zstd")]
    pub(super) fn digest(&self) -> Option<&zstd::zstd_safe::DDict<'static>> {
        self.digest.as_deref()
    }
}
