//! zstd's trainer of dictionaries, where the feature `zstd` is on. A dev-dependency cannot be optional, and this one would have
//! `cargo run --example quickstart` build the C library.

#[cfg(feature = "zstd")]
#[doc(no_inline)]
pub use zstd::dict::from_samples;
