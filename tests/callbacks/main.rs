//! What comes when, what may be called in it, and what it costs if the user's code fails.

#[path = "../support/support.rs"]
mod support;

mod every_method;
mod lifecycle;
mod panics_in_drop;
mod reentrancy;
mod symptoms;
