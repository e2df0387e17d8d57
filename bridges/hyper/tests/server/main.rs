//! `HttpServer`: what a client sees of it, byte by byte, and what it suffers from none of them.

mod deadlines;
mod ends;
mod requests;
mod upgrades;
mod world;
