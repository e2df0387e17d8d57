//! The engine of Redis, and of what speaks its protocol.
//!
//! A `session` is all that lives from one login to the loss of its connection; the `engine` has one after the other. A session's main `link` carries
//! everything; in a `cluster` there are further links, one to each node that has what is asked for. Redis says when a stream has changed, and its
//! `tail` is read then.
//!
//! | of the hub | at Redis |
//! |---|---|
//! | a topic | a channel of that name; if it keeps its messages, a stream under that key |
//! | a pattern | a glob that matches at least as much, looked at again when a message comes |
//! | a message that is kept | an entry with the field `payload`, one for each header, and `Nats-Msg-Id`, by which a hub knows what was stored twice |
//! | a process's names in a topic | a key that expires, and its name in a sorted set beside it |
//!
//! The user of an ACL needs the commands HELLO, PING, TIME, (P|S)(UN)SUBSCRIBE, (S)PUBLISH, and for what is kept and for presence XADD,
//! XRANGE, XREVRANGE, XINFO, CLIENT TRACKING, SET, MGET, DEL, ZADD, ZREM, ZRANGE, ZREMRANGEBYSCORE and PEXPIRE.

mod address;
mod channels;
mod cluster;
mod command;
mod cursor;
mod engine;
mod link;
mod login;
mod presence;
mod receiving;
mod reply;
mod resp;
mod session;
mod streams;
mod tail;

pub(crate) use engine::RedisEngine;
