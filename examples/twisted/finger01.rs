//! Step 1 of Twisted's finger tutorial: a reactor that does nothing, forever.
//!
//! Run:    cargo run --example finger01
//! Expect: nothing; Ctrl-C ends it.

use torsade::prelude::*;

fn main() -> Result {
    Reactor::new()?.run()
}
