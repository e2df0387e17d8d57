//! `HttpServer`: what a client sees of it, byte by byte, and what it suffers from none of them.

mod deadlines;
mod ends;
mod garbage;
mod http2;
mod http2_bounds;
mod requests;
mod telling;
mod tls;
mod upgrades;
mod world;
