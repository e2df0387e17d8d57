//! Text that arrives in pieces.

use super::frame::{Code, NOT_TEXT};

/// Checks that pieces together are UTF-8, each as it arrives: fails at the first invalid byte.
#[derive(Default)]
pub struct TextCheck {
    /// The beginning of an incomplete character, at most three bytes.
    begun: Vec<u8>,
}

impl TextCheck {
    pub fn add(&mut self, piece: &[u8]) -> Result<(), Code> {
        let mut rest = piece;
        while let (false, [byte, later @ ..]) = (self.begun.is_empty(), rest) {
            self.begun.push(*byte);
            self.begun = begun_character(&self.begun)?.to_vec();
            rest = later;
        }
        self.begun.extend(begun_character(rest)?);
        Ok(())
    }

    pub fn end(&self) -> Result<(), Code> {
        if self.begun.is_empty() { Ok(()) } else { Err(NOT_TEXT) }
    }
}

/// What follows the last whole character.
fn begun_character(text: &[u8]) -> Result<&[u8], Code> {
    match std::str::from_utf8(text) {
        Ok(_) => Ok(&[]),
        Err(error) if error.error_len().is_none() => Ok(&text[error.valid_up_to()..]),
        Err(_) => Err(NOT_TEXT),
    }
}
