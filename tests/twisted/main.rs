//! Torsade against what real Twisted did, as recorded by the programs beside this file.

mod deferreds;
mod endpoints;
mod json;
#[cfg(all(unix, feature = "processes"))]
mod processes;
mod protocols;
