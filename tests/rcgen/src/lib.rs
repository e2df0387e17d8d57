//! `rcgen`, if the feature `tls` is on. A dev-dependency cannot be optional, and this one would make `cargo run --example
//! quickstart` build ring, whose C and assembly take as long as all of Torsade.

#[cfg(feature = "tls")]
pub use rcgen::*;
