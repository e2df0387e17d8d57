//! The real brokers of these tests are what they are taken for.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use crate::broker::{Broker, Program};

/// Returns the broker's answer to a line, after skipping this many lines of greeting.
fn ask(broker: &Broker, greeting: usize, line: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", broker.port())).unwrap();
    write!(stream, "{line}\r\n").unwrap();
    let answer = BufReader::new(stream).lines().map_while(Result::ok).nth(greeting);
    answer.unwrap_or_default()
}

#[test]
fn redis_keeps_what_it_has_confirmed_through_a_kill() {
    let Some(mut redis) = Broker::redis() else { return };
    assert_eq!(ask(&redis, 0, "SET key value"), "+OK");
    let (port, pid) = (redis.port(), redis.pid());
    redis.kill();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    redis.start();
    assert_eq!(redis.port(), port);
    assert_ne!(redis.pid(), pid);
    assert_eq!(ask(&redis, 1, "GET key"), "value");
    redis.kill();
    redis.lose_data();
    redis.start();
    assert_eq!(ask(&redis, 0, "GET key"), "$-1");
}

#[test]
fn nats_has_jetstream_and_is_killed_and_begun_again() {
    let Some(mut nats) = Broker::nats() else { return };
    let port = nats.port();
    assert!(ask(&nats, 0, "").contains("\"jetstream\":true"));
    nats.kill();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    nats.start();
    assert!(ask(&nats, 0, "").starts_with("INFO "));
}

#[test]
fn settings_are_added_to_a_brokers_own() {
    let Some(redis) = Broker::with_settings(Program::Redis, "requirepass secret") else { return };
    assert!(ask(&redis, 0, "GET key").starts_with("-NOAUTH"));
    assert!(ask(&redis, 0, "AUTH secret").starts_with("+OK"));
}
