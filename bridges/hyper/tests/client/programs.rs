//! The examples as modules.
#![allow(dead_code, clippy::duplicate_mod, reason = "each has a main of its own, and all proxies forward by the same module")]

#[path = "../../examples/http_proxy/main.rs"]
pub mod http_proxy;
#[path = "../../examples/twisted/logging_proxy.rs"]
pub mod logging_proxy;
#[path = "../../examples/twisted/proxy.rs"]
pub mod proxy;
#[path = "../../examples/twisted/reverse_proxy.rs"]
pub mod reverse_proxy;
#[path = "../../examples/twisted/simple_client.rs"]
pub mod simple_client;
#[path = "../../examples/web_client.rs"]
pub mod web_client;
