//! Every buffer has a limit, and producers are paused and resumed.

#[path = "../support/support.rs"]
mod support;

mod buffers;
mod files;
mod forwarding;
mod relay;
mod shared;
