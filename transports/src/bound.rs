//! Reporting that a limit is reached.

use std::cell::Cell;

/// Whether it was reported that a limit is reached: once, and again only after the count was a tenth of the limit below it.
#[derive(Default)]
pub(crate) struct Told(Cell<bool>);

impl Told {
    /// Notes the count, and returns whether there is something to report.
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
