//! The order of callbacks, what they may call, and what a failure in a user's code ends.

#[path = "../support/support.rs"]
mod support;

mod every_method;
mod lifecycle;
mod panics_in_drop;
mod reentrancy;
mod symptoms;
