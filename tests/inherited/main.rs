//! What a program gets from the one that has started it: listening sockets, and whom to tell how it is.
#![cfg(unix)]

#[path = "../support/support.rs"]
mod support;

#[cfg(all(target_os = "linux", feature = "systemd"))]
mod passed;
mod sockets;
mod systemd_notification;
