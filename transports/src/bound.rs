//! Telling that a bound is met.

use std::cell::Cell;

/// Whether it was told that a bound is met: once, and again only after the count was a tenth of the bound away from it.
#[derive(Default)]
pub(crate) struct Told(Cell<bool>);

impl Told {
    /// Notes the count, and says whether there is something to tell.
    pub(crate) fn is_news(&self, count: usize, bound: usize) -> bool {
        if count >= bound {
            return !self.0.replace(true);
        }
        if count < bound - bound / 10 {
            self.0.set(false);
        }
        false
    }
}
