//! The values that say how a connection is compressed.
