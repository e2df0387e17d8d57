//! Closing never loses data and never hangs.

#[path = "../support/support.rs"]
mod support;

mod lingering;
mod promises;
