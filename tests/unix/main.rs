//! UNIX sockets: names and their files, closing, layers, descriptors, and simulated sockets.
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
