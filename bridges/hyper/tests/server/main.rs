//! `HttpServer`: what a client sees of it, byte by byte, and what it suffers from none of them.

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
