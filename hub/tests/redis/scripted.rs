//! The scripted broker says what the real one says.

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

    let mut three = Client::connect(port);
    let id = match three.ask(&["HELLO", "3"]) {
        Value::Map(pairs) => pairs.into_iter().find(|(key, _)| *key == Value::text("id")).map(|(_, id)| id),
        other => panic!("{other:?}"),
    };
    let Some(Value::Number(id)) = id else { panic!("HELLO tells no id") };
    three.send(&["XREAD", "COUNT", "1", "BLOCK", "0", "STREAMS", "new", "0-0"]);
    // It may not have been carried out yet, and then nothing is unblocked.
    while two.ask(&["CLIENT", "UNBLOCK", &id.to_string()]) == Value::Number(0) {}
    note("unblocked", &three.next());
    note("not blocked", &two.ask(&["CLIENT", "UNBLOCK", &id.to_string()]));
    three.send(&["XREAD", "COUNT", "1", "BLOCK", "60000", "STREAMS", "new", "0-0"]);
    three.send(&["PING"]);
    note("add", &two.ask(&["XADD", "new", "MAXLEN", "~", "10", "*", "payload", "hi"]));
    note("read", &three.next());
    note("what was asked while it waited", &three.next());
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
    "XREAD COUNT 1 STREAMS log none 0-0 0-0",
    "XREAD COUNT 1 STREAMS none 0-0",
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
