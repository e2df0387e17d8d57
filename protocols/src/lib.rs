//! Torsade's protocols, factories and the transport handle.
mod compression;
/// Stub, to be replaced.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {}
