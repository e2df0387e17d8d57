//! `HttpServer`: what a client receives, byte by byte, and that no client can harm the server.

mod deadlines;
mod ends;
mod frames;
mod garbage;
mod http2;
mod http2_bounds;
mod http2_cases;
mod requests;
mod telling;
mod tls;
mod upgrades;
mod world;
