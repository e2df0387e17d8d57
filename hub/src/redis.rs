//! The engine of Redis, and of what speaks its protocol.

mod channels;
mod command;
mod cursor;
mod engine;
mod hosts;
mod link;
mod login;
mod presence;
mod reply;
mod resp;
mod session;
mod streams;
mod tail;

pub(crate) use engine::RedisEngine;
