//! The steps of the ladder as modules.
#![allow(dead_code, reason = "each has a main of its own")]
#![allow(clippy::duplicate_mod, reason = "steps 9 and 10 have those that they test as well")]

#[path = "../10_all.rs"]
pub mod all;
#[path = "../06_bounds.rs"]
pub mod bounds;
#[path = "../05_client.rs"]
pub mod client;
#[path = "../07_compression.rs"]
pub mod compression;
#[path = "../01_echo.rs"]
pub mod echo;
#[path = "../02_lines.rs"]
pub mod lines;
#[path = "../03_room.rs"]
pub mod room;
#[path = "../09_simulated.rs"]
pub mod simulated;
#[path = "../04_time.rs"]
pub mod time;
#[path = "../08_tls.rs"]
pub mod tls;
