//! Torsade's connections.
mod compression;
mod layer;
