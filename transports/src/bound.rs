//! Reporting that a limit is reached.

use std::cell::Cell;

/// Reports once that a limit is reached, and again only after the count was a tenth of the limit below it.
#[derive(Default)]
pub(crate) struct LimitReport(Cell<bool>);

impl LimitReport {
    /// Notes the count, and returns whether there is something to report.
    pub(crate) fn is_due(&self, count: usize, bound: usize) -> bool {
        if count >= bound {
            return !self.0.replace(true);
        }
        if count < bound - bound / 10 {
            self.0.set(false);
        }
        false
    }
}
