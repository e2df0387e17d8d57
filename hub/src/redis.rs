//! The engine of Redis, and of what speaks its protocol.
//!
//! A `session` is all that lives from one login to the loss of a connection; the `engine` has one after the other. A session's main `link` carries
//! commands and pub/sub; a `tail` waits for entries of streams, since a connection that waits answers nothing else; in a cluster there are further
//! links to the nodes that commands are sent on to, and a tail for each stream, since one command asks one node.
//!
//! | of the hub | at Redis |
//! |---|---|
//! | a topic | a channel of that name; if it keeps its messages, a stream under that key |
//! | a pattern | a glob that matches at least as much, looked at again when a message comes |
//! | a message that is kept | an entry with the field `payload`, one for each header, and `Nats-Msg-Id`, by which a hub knows what was stored twice |
//! | a process's names in a topic | a key that expires, and its name in a sorted set beside it |
//!
//! The user of an ACL needs the commands HELLO, PING, TIME, (P|S)(UN)SUBSCRIBE, (S)PUBLISH, and for what is kept and for presence XADD,
//! XRANGE, XREVRANGE, XREAD, XINFO, CLIENT UNBLOCK, SET, MGET, DEL, ZADD, ZREM, ZRANGE, ZREMRANGEBYSCORE and PEXPIRE.

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
