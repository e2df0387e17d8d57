//! zstd's dictionary trainer, if the feature `zstd` is on. A dev-dependency cannot be optional, and this one would make `cargo
//! run --example quickstart` build the C library.

#[cfg(feature = "zstd")]
#[doc(no_inline)]
pub use zstd::dict::from_samples;
