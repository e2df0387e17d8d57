//! The examples as modules.
#![allow(dead_code, clippy::duplicate_mod, reason = "each has a main of its own, and two send files by the same modules")]

#[path = "../../examples/twisted/dynamic_pages/main.rs"]
pub mod dynamic_pages;
#[path = "../../examples/twisted/server_sent_events.rs"]
pub mod server_sent_events;
#[path = "../../examples/twisted/static_files.rs"]
pub mod static_files;
#[path = "../../examples/twisted/streamed_page.rs"]
pub mod streamed_page;
#[path = "../../examples/web_server/main.rs"]
pub mod web_server;
