//! Dictionaries as zstd needs them: digested once for all connections of a reactor.

use std::rc::Rc;

use torsade_protocols::{CompressionError, Dictionary, Format};
use zstd::zstd_safe::{CDict, DDict};

/// How many unused digests are kept for the next stream: a server often has one connection after the other.
const SPARE: usize = 4;

/// The digests of a reactor. Encoders need one per level, which contains match tables.
#[derive(Default)]
pub(super) struct Digests {
    encoding: Cache<CDict<'static>>,
    decoding: Cache<DDict<'static>>,
}

/// Digests, each with its dictionary and level.
struct Cache<T>(Vec<(Dictionary, u32, Rc<T>)>);

impl Digests {
    /// The digest for encoders.
    ///
    /// # Errors
    /// [`CompressionError::DictionaryInvalid`] if it begins like a trained dictionary, but is not a valid one.
    pub(super) fn for_encoder(&mut self, dictionary: &Dictionary, level: u32) -> Result<Rc<CDict<'static>>, CompressionError> {
        // A level is at most 22.
        self.encoding.get(dictionary, level, || CDict::try_create(dictionary.bytes(), level as i32))
    }

    /// The digest for decoders.
    ///
    /// # Errors
    /// As [`for_encoder`](Self::for_encoder).
    pub(super) fn for_decoder(&mut self, dictionary: &Dictionary) -> Result<Rc<DDict<'static>>, CompressionError> {
        self.decoding.get(dictionary, 0, || DDict::try_create(dictionary.bytes()))
    }
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Cache<T> {
    fn get(
        &mut self,
        dictionary: &Dictionary,
        level: u32,
        digest: impl FnOnce() -> Option<T>,
    ) -> Result<Rc<T>, CompressionError> {
        let known = self.0.iter().find(|(known, at, _)| *at == level && known == dictionary);
        if let Some((_, _, digest)) = known {
            return Ok(Rc::clone(digest));
        }
        let digest = Rc::new(digest().ok_or(CompressionError::DictionaryInvalid { format: Format::Zstd })?);
        let unused = |(_, _, digest): &(Dictionary, u32, Rc<T>)| Rc::strong_count(digest) == 1;
        let mut spare = self.0.iter().filter(|entry| unused(entry)).count();
        self.0.retain(|entry| {
            let drop = unused(entry) && spare > SPARE - 1;
            spare -= usize::from(drop);
            !drop
        });
        self.0.push((dictionary.clone(), level, Rc::clone(&digest)));
        Ok(digest)
    }
}
