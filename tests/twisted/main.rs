//! Torsade against what real Twisted did, as the programs beside this file recorded it.

mod deferreds;
mod endpoints;
mod json;
#[cfg(all(unix, feature = "processes"))]
mod processes;
mod protocols;
