//! What a program inherits from the one that started it: listening sockets, and a socket for notifications.
#![cfg(unix)]

#[path = "../support/support.rs"]
mod support;

#[cfg(all(target_os = "linux", feature = "systemd"))]
mod passed;
mod sockets;
mod systemd_notification;
