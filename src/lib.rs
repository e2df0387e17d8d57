//! Torsade: a Twisted-style networking engine.
