//! Deferreds, one and several.

mod one;
mod several;
