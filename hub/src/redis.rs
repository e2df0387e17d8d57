//! The engine for Redis, and for servers that speak its protocol.
//!
//! A `session` lives from a login to the loss of its connection; the `engine` runs one after the other. A session's main `link`
//! carries all commands and all pub/sub; in a `cluster` there is one more link to each node that has a key or channel of ours,
//! and with sharded pub/sub the session lives until the last link is lost. When a stream changes, Redis says so, and its `tail`
//! reads what was added.
//!
//! | in the hub | in Redis |
//! |---|---|
//! | a topic | a channel of that name; a stored topic: a stream with that key |
//! | a pattern | a glob that matches at least as much; each message is checked against the pattern |
//! | a stored message | an entry with the field `payload`, one for each header, and `Nats-Msg-Id`, which identifies repeated messages |
//! | the names that a process has in a topic | a key that expires, and the process's name in a sorted set |
//!
//! With ACLs, the user needs the commands HELLO, PING, TIME, (P|S)(UN)SUBSCRIBE and (S)PUBLISH; for stored topics and presence
//! also XADD, XRANGE, XREVRANGE, XINFO, CLIENT TRACKING, SET, MGET, DEL, ZADD, ZREM, ZRANGE, ZREMRANGEBYSCORE and PEXPIRE.

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
