//! The scripted broker answers as the real one does.

use std::sync::mpsc;
use std::thread;

use torsade::prelude::*;

use crate::broker::Broker;
use crate::client::Client;
use crate::scripted_redis::{ScriptedRedis, Value};

/// Text without what differs from one to the other: numbers of the clock, and what only the real one says.
fn same(value: &Value) -> String {
    match value {
        Value::Text(text) => {
            let text = String::from_utf8_lossy(text).into_owned();
            let is_id = text
                .split_once('-')
                .is_some_and(|(major, minor)| major.parse::<u64>().is_ok_and(|major| major > 0) && minor.parse::<u64>().is_ok());
            if is_id { "an id".to_owned() } else { format!("{text:?}") }
        }
        Value::Map(pairs) => {
            let known = ["length", "last-generated-id", "entries-added", "first-entry", "last-entry", "proto", "mode", "role"];
            let is_told = |key: &Value| !matches!(key, Value::Text(text) if known.iter().all(|known| known.as_bytes() != text) && pairs.len() > 2);
            let mut pairs: Vec<_> = pairs
                .iter()
                .filter(|(key, _)| is_told(key))
                .map(|(key, value)| format!("{}: {}", same(key), same(value)))
                .collect();
            pairs.sort();
            format!("{{{}}}", pairs.join(", "))
        }
        Value::List(items) => format!("[{}]", items.iter().map(same).collect::<Vec<_>>().join(", ")),
        Value::Push(items) => format!(">[{}]", items.iter().map(same).collect::<Vec<_>>().join(", ")),
        Value::Error(text) => format!("error {}", text.split(',').next().unwrap_or_default()),
        other => format!("{other:?}"),
    }
}

/// All that the hub asks, in one go.
fn conversation(port: u16) -> Vec<String> {
    let (mut one, mut two, mut said) = (Client::connect(port), Client::connect(port), Vec::new());
    let mut note = |what: &str, value: &Value| said.push(format!("{what}: {}", same(value)));
    for command in COMMANDS {
        let parts: Vec<_> = command.split(' ').collect();
        note(command, &two.ask(&parts));
    }
    for subscribe in ["SUBSCRIBE a.b", "SUBSCRIBE a.b", "PSUBSCRIBE a.*", "PSUBSCRIBE a\\?.*", "SSUBSCRIBE a.b", "UNSUBSCRIBE c"]
    {
        let parts: Vec<_> = subscribe.split(' ').collect();
        note(subscribe, &one.ask(&parts));
    }
    note("publish", &two.ask(&["PUBLISH", "a.b", "hello"]));
    let mut pushes = [one.next(), one.next()].map(|push| same(&push));
    pushes.sort();
    note("published", &Value::text(pushes.join(" ")));
    note("publish to a glob", &two.ask(&["PUBLISH", "a?.b", "x"]));
    note("published to a glob", &one.next());
    note("publish to a shard", &two.ask(&["SPUBLISH", "a.b", "shard"]));
    note("published to a shard", &one.next());
    note("ask between", &one.ask(&["PING"]));
    for unsubscribe in ["UNSUBSCRIBE a.b", "PUNSUBSCRIBE a.*", "SUNSUBSCRIBE a.b"] {
        let parts: Vec<_> = unsubscribe.split(' ').collect();
        note(unsubscribe, &one.ask(&parts));
    }
    note("publish to nobody", &two.ask(&["PUBLISH", "a.b", "nobody"]));

    note("track", &one.ask(&["CLIENT", "TRACKING", "ON"]));
    for read in ["XRANGE new - +", "XINFO STREAM log", "MGET k new", "XREVRANGE log + - COUNT 1"] {
        let parts: Vec<_> = read.split(' ').collect();
        note(read, &one.ask(&parts));
        // Once, whoever changes it, the last word behind the answer.
        for key in ["new", "log"] {
            note("add", &two.ask(&["XADD", key, "MAXLEN", "~", "10", "*", "payload", "hi"]));
            note("add another", &two.ask(&["XADD", key, "*", "payload", "hi"]));
        }
        note("told", &one.next());
        note(read, &one.ask(&parts));
        note("refused", &one.ask(&["XADD", "new", "*", "payload"]));
        note("nothing removed", &one.ask(&["XTRIM", "log", "MAXLEN", "100"]));
        note("own", &one.ask(&["XADD", if read.contains("new") { "new" } else { "log" }, "*", "payload", "hi"]));
        note("own told", &one.next());
    }
    note("again", &one.ask(&["XRANGE", "new", "-", "+", "COUNT", "1"]));
    note("deleted", &two.ask(&["DEL", "new"]));
    note("told", &one.next());
    note("again", &one.ask(&["XRANGE", "none", "-", "+", "COUNT", "1"]));
    note("all gone", &two.ask(&["FLUSHALL"]));
    note("told", &one.next());
    said
}

const COMMANDS: &[&str] = &[
    "HELLO 3",
    "PING",
    "XINFO STREAM log",
    "XRANGE log - + COUNT 3",
    "XADD log MAXLEN ~ 1 * payload one",
    "XADD log * payload two header x",
    "XADD log * payload three",
    "XRANGE log - + COUNT 2",
    "XREVRANGE log + - COUNT 2",
    "XLEN log",
    "XINFO STREAM log",
    "XRANGE log 1-1 1-1",
    "XTRIM log MAXLEN 1",
    "XINFO STREAM log",
    "XTRIM log MAXLEN 0",
    "XINFO STREAM log",
    "XADD log * payload",
    "SET text value",
    "XADD text * payload x",
    "XINFO STREAM text",
    "SET k v PX 60000",
    "GET k",
    "MGET k none text",
    "ZADD set 5 b",
    "ZADD set 3 a",
    "ZADD set 9 c",
    "ZADD set 4 b",
    "ZRANGE set 0 -1",
    "ZREMRANGEBYSCORE set -inf 3",
    "ZRANGE set 0 -1",
    "PEXPIRE set 60000",
    "PEXPIRE none 60000",
    "ZREM set b",
    "ZREM set b",
    "DEL k",
    "MGET k",
    "ZRANGE none 0 -1",
    "NONSENSE 1",
];

#[test]
fn the_scripted_broker_says_what_the_real_one_says() {
    let Some(real) = Broker::redis() else { return };
    let (tell, told) = mpsc::channel();
    let server = thread::spawn(move || {
        let reactor = Reactor::new().unwrap();
        let port = ScriptedRedis::new().listen(&reactor, "127.0.0.1:0");
        tell.send((port.address().port().unwrap(), reactor.handle())).unwrap();
        reactor.run().unwrap();
    });
    let (port, handle) = told.recv().unwrap();
    let scripted = conversation(port);
    handle.call_from_thread(|reactor| reactor.stop().unwrap()).unwrap();
    server.join().unwrap();
    let real = conversation(real.port());
    for (real, scripted) in real.iter().zip(&scripted) {
        assert_eq!(scripted, real);
    }
    assert_eq!(real.len(), scripted.len());
}
