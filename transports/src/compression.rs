//! Stream compression as a byte layer.
