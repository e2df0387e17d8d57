//! Every buffer has a bound, and producers are told.

#[path = "../support/support.rs"]
mod support;

mod buffers;
mod files;
mod forwarding;
mod relay;
mod shared;
