//! Closing never loses data and never hangs.

#[path = "../support/support.rs"]
mod support;

mod half_close;
mod lingering;
mod promises;
mod resets;
mod stop;
