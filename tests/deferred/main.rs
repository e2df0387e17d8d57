//! Deferreds, single and combined.

#[path = "../support/logged.rs"]
#[allow(dead_code, reason = "other suites use the rest")]
mod logged;
mod one;
mod several;
