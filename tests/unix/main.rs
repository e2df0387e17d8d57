//! UNIX sockets: names and their files, closing, layers, descriptors, and the simulated ones beside them.
#![cfg(unix)]

#[path = "../support/support.rs"]
mod support;

mod adopting;
mod closing;
mod descriptors;
mod layers;
mod names;
mod place;
mod simulated;
