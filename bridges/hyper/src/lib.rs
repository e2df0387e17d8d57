//! [hyper](https://hyper.rs) on Torsade's event loop: HTTP/1.1 and HTTP/2, servers and clients, on any connection of a
//! [`Reactor`](torsade::Reactor), with TLS, compression and simulated networks, and without another runtime.
//!
//! [`HttpServer`] answers requests and [`Client`] makes them. [`TowerService`] adapts axum's routers and other tower services.
//! Three types implement hyper's runtime traits, for everything that is built on these:
//!
//! | type | hyper's trait |
//! |---|---|
//! | [`TorsadeIo`] | `hyper::rt::Read` and `hyper::rt::Write` |
//! | [`TorsadeTimer`] | `hyper::rt::Timer` |
//! | [`TorsadeExecutor`] | `hyper::rt::Executor` |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(missing_docs, missing_debug_implementations, unreachable_pub, unnameable_types)]
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::missing_errors_doc, clippy::missing_panics_doc)]
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod client;
mod connection_info;
mod executor;
mod io;
mod request_body;
mod server;
mod timer;
mod tower_service;
pub mod upgrade;

pub use client::{Client, ClientBuilder, ClientError, ClientErrorKind, ResponseBody, ResponseFuture};
pub use connection_info::ConnectionInfo;
pub use executor::TorsadeExecutor;
pub use io::TorsadeIo;
pub use request_body::{RequestBody, RequestBodyError};
pub use server::HttpServer;
pub use timer::TorsadeTimer;
pub use tower_service::TowerService;
