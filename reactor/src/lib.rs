//! Torsade's event loop.
