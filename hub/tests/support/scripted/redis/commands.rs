//! The commands that the scripted broker knows.

use std::rc::Rc;
use std::time::Duration;

use super::ScriptedRedis;
use super::connection::Client;
use super::data::{Data, EPOCH, Entry, Id, Stream, glob_matches};
use super::wire::Value;

const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

/// Carries out a command; none if it is answered later, or by pushes.
pub(super) fn run(broker: &ScriptedRedis, client: Option<&Rc<Client>>, now: Duration, command: &[Vec<u8>]) -> Option<Value> {
    let name = command.first().map(|name| String::from_utf8_lossy(name).to_ascii_uppercase()).unwrap_or_default();
    let args: Vec<&[u8]> = command.iter().skip(1).map(Vec::as_slice).collect();
    if client.is_some() {
        broker.0.script.asked.borrow_mut().push(name.clone());
    }
    if let Some(error) = broker.0.script.failures.borrow().get(&name) {
        return Some(Value::error(error));
    }
    if client.is_some_and(|client| !client.logged_in.get()) && name != "HELLO" {
        return Some(Value::error("NOAUTH Authentication required."));
    }
    broker.0.data.borrow_mut().expire(now);
    match (name.as_str(), client) {
        ("HELLO", Some(client)) => Some(hello(broker, client, &args)),
        ("PUBLISH" | "SPUBLISH", _) => Some(publish(broker, args[0], args[1], name == "SPUBLISH")),
        ("CLIENT", Some(client)) => {
            client.tracks.set(args == [&b"TRACKING"[..], b"ON"]);
            Some(Value::Ok)
        }
        (_, Some(client)) if name.ends_with("SUBSCRIBE") => subscription(broker, client, &name, &args),
        _ => Some(of_data(&mut broker.0.data.borrow_mut(), now, &name, &args)),
    }
}

/// Tells those who have read a key that a command has changed it; and remembers who reads one.
pub(super) fn track(broker: &ScriptedRedis, client: Option<&Rc<Client>>, command: &[Vec<u8>], answer: Option<&Value>) {
    let name = command.first().map(|name| String::from_utf8_lossy(name).to_ascii_uppercase()).unwrap_or_default();
    let keys = match name.as_str() {
        "XINFO" => &command[2..3],
        "XRANGE" | "XREVRANGE" | "XLEN" | "GET" | "XADD" | "XTRIM" | "SET" => &command[1..2],
        "MGET" | "DEL" => &command[1..],
        "FLUSHALL" => return all_changed(broker),
        _ => return,
    };
    let has_changed = !matches!(answer, None | Some(Value::Error(_) | Value::Number(0)));
    match name.as_str() {
        "XADD" | "XTRIM" | "SET" | "DEL" if has_changed => keys.iter().for_each(|key| changed(broker, key)),
        "XADD" | "XTRIM" | "SET" | "DEL" => {}
        _ => {
            if let Some(client) = client.filter(|client| client.tracks.get()) {
                client.tracked.borrow_mut().extend(keys.iter().cloned());
            }
        }
    }
}

fn changed(broker: &ScriptedRedis, key: &[u8]) {
    let clients: Vec<_> = broker.0.clients.borrow().values().cloned().collect();
    for client in clients.iter().filter(|client| client.tracked.borrow_mut().remove(key)) {
        client.send(broker, &Value::Push(vec![Value::text("invalidate"), Value::List(vec![Value::text(key)])]));
    }
}

/// Tells all who follow keys that all are gone.
pub(super) fn all_changed(broker: &ScriptedRedis) {
    let clients: Vec<_> = broker.0.clients.borrow().values().cloned().collect();
    for client in clients.iter().filter(|client| client.tracks.get()) {
        client.tracked.take();
        client.send(broker, &Value::Push(vec![Value::text("invalidate"), Value::Null]));
    }
}

fn of_data(data: &mut Data, now: Duration, name: &str, args: &[&[u8]]) -> Value {
    match name {
        "PING" => Value::text("PONG"),
        "TIME" => {
            let time = EPOCH + now;
            Value::List(vec![Value::text(time.as_secs().to_string()), Value::text(time.subsec_micros().to_string())])
        }
        "DEL" => Value::Number(args.iter().filter(|key| data.remove(key)).count() as i64),
        "FLUSHALL" => {
            *data = Data::default();
            Value::Ok
        }
        _ if name.starts_with('X') => of_streams(data, now, name, args),
        _ if name.starts_with('Z') || name == "PEXPIRE" => of_sets(data, now, name, args),
        "SET" => {
            let expiry = (args.len() == 4).then(|| now + Duration::from_millis(number(args[3])));
            data.remove(args[0]);
            data.strings.insert(args[0].to_vec(), (args[1].to_vec(), expiry));
            Value::Ok
        }
        "GET" => data.strings.get(args[0]).map_or(Value::Null, |(value, _)| Value::text(value)),
        "MGET" => {
            let of = |key: &&[u8]| data.strings.get(*key).map_or(Value::Null, |(value, _)| Value::text(value));
            Value::List(args.iter().map(of).collect())
        }
        _ => Value::Error(format!("ERR unknown command '{name}'")),
    }
}

fn of_sets(data: &mut Data, now: Duration, name: &str, args: &[&[u8]]) -> Value {
    let (members, expiry) = data.sets.entry(args[0].to_vec()).or_default();
    match name {
        "ZADD" => Value::Number(i64::from(members.insert(args[2].to_vec(), score(args[1])).is_none())),
        "ZREM" => Value::Number(i64::from(members.remove(args[1]).is_some())),
        "ZREMRANGEBYSCORE" => {
            let before = members.len();
            let (from, to) = (score(args[1]), score(args[2]));
            members.retain(|_, score| *score < from || *score > to);
            Value::Number((before - members.len()) as i64)
        }
        "ZRANGE" => {
            let mut by_score: Vec<_> = members.iter().collect();
            by_score.sort_by(|(_, one), (_, other)| one.total_cmp(other));
            Value::List(by_score.into_iter().map(|(member, _)| Value::text(member)).collect())
        }
        "PEXPIRE" if members.is_empty() => Value::Number(0),
        "PEXPIRE" => {
            *expiry = Some(now + Duration::from_millis(number(args[1])));
            Value::Number(1)
        }
        _ => Value::Error(format!("ERR unknown command '{name}'")),
    }
}

fn of_streams(data: &mut Data, now: Duration, name: &str, args: &[&[u8]]) -> Value {
    let key = if name == "XINFO" { args[1] } else { args[0] };
    if data.strings.contains_key(key) || data.sets.contains_key(key) {
        return Value::error(WRONG_TYPE);
    }
    match name {
        "XADD" => add(data, now, args),
        "XLEN" => Value::Number(data.streams.get(key).map_or(0, |stream| stream.entries.len() as i64)),
        "XTRIM" => {
            let keep = usize::try_from(number(args[2])).unwrap();
            Value::Number(data.streams.get_mut(key).map_or(0, |stream| stream.trim(keep, false) as i64))
        }
        "XRANGE" | "XREVRANGE" => {
            let backwards = name == "XREVRANGE";
            let (from, to) = if backwards { (args[2], args[1]) } else { (args[1], args[2]) };
            let count = if args.len() == 5 { usize::try_from(number(args[4])).unwrap() } else { usize::MAX };
            let Some(stream) = data.streams.get(key) else { return Value::List(Vec::new()) };
            let range = stream.range(id(from, 0), id(to, u64::MAX));
            let entries: Vec<_> = if backwards { range.rev().take(count).collect() } else { range.take(count).collect() };
            Value::List(entries.into_iter().map(entry).collect())
        }
        "XINFO" => data.streams.get(key).map_or_else(|| Value::error("ERR no such key"), info),
        _ => Value::Error(format!("ERR unknown command '{name}'")),
    }
}

/// `key MAXLEN [~] keep * field value ..`, the bound left out or not.
fn add(data: &mut Data, now: Duration, args: &[&[u8]]) -> Value {
    let (key, mut rest) = (args[0], &args[1..]);
    let mut bound = None;
    if rest.first() == Some(&&b"MAXLEN"[..]) {
        let about = rest[1] == b"~";
        rest = &rest[if about { 2 } else { 1 }..];
        bound = Some((usize::try_from(number(rest[0])).unwrap(), about));
        rest = &rest[1..];
    }
    if rest.first() != Some(&&b"*"[..]) || rest.len() < 3 || rest.len() % 2 == 0 {
        return Value::error("ERR wrong number of arguments for 'xadd' command");
    }
    let stream = data.streams.entry(key.to_vec()).or_default();
    let added = stream.add(now, rest[1..].iter().map(|field| field.to_vec()).collect());
    if let Some((keep, about)) = bound {
        stream.trim(keep, about);
    }
    Value::text(id_text(added))
}

fn info(stream: &Stream) -> Value {
    let end = |entry_of: Option<&Entry>| entry_of.map_or(Value::Null, entry);
    let pairs = [
        ("length", Value::Number(stream.entries.len() as i64)),
        ("last-generated-id", Value::text(id_text(stream.last))),
        ("entries-added", Value::Number(stream.added as i64)),
        ("groups", Value::Number(0)),
        ("first-entry", end(stream.entries.front())),
        ("last-entry", end(stream.entries.back())),
    ];
    Value::Map(pairs.into_iter().map(|(name, value)| (Value::text(name), value)).collect())
}

fn entry((id, fields): &Entry) -> Value {
    Value::List(vec![Value::text(id_text(*id)), Value::List(fields.iter().map(Value::text).collect())])
}

/// `3 [AUTH user password] [SETNAME name]`
fn hello(broker: &ScriptedRedis, client: &Client, args: &[&[u8]]) -> Value {
    if let Some(error) = &*broker.0.script.refusal.borrow() {
        return Value::error(error);
    }
    if let Some((user, password)) = &*broker.0.script.login.borrow() {
        let given = args.iter().position(|arg| *arg == b"AUTH").map(|at| (args[at + 1], args[at + 2]));
        match given {
            None => return Value::error("NOAUTH HELLO must be called with the client already authenticated"),
            Some(given) if given != (user.as_bytes(), password.as_bytes()) => {
                return Value::error("WRONGPASS invalid username-password pair or user is disabled.");
            }
            Some(_) => client.logged_in.set(true),
        }
    }
    let pairs = [
        ("server", Value::text("redis")),
        ("version", Value::text("7.0.15")),
        ("proto", Value::Number(3)),
        ("id", Value::Number(i64::try_from(client.id).unwrap())),
        ("mode", Value::text("standalone")),
        ("role", Value::text("master")),
        ("modules", Value::List(Vec::new())),
    ];
    Value::Map(pairs.into_iter().map(|(name, value)| (Value::text(name), value)).collect())
}

fn subscription(broker: &ScriptedRedis, client: &Rc<Client>, name: &str, names: &[&[u8]]) -> Option<Value> {
    let is_shard = name.starts_with("SS") || name == "SUNSUBSCRIBE";
    let subscribed = match name {
        _ if is_shard => &client.shards,
        _ if name.starts_with('P') => &client.patterns,
        _ => &client.channels,
    };
    for channel in names {
        if name.contains("UNSUB") {
            subscribed.borrow_mut().remove(*channel);
        } else {
            subscribed.borrow_mut().insert(channel.to_vec());
        }
        let shards = client.shards.borrow().len();
        let count = if is_shard { shards } else { client.channels.borrow().len() + client.patterns.borrow().len() };
        let push = vec![Value::text(name.to_ascii_lowercase()), Value::text(channel), Value::Number(count as i64)];
        client.send(broker, &Value::Push(push));
    }
    None
}

fn publish(broker: &ScriptedRedis, channel: &[u8], payload: &[u8], sharded: bool) -> Value {
    if broker.0.script.only_channel.borrow().as_ref().is_some_and(|only| only != channel) {
        return Value::error("NOPERM this user has no permissions to access one of the channels used as arguments");
    }
    let clients: Vec<_> = broker.0.clients.borrow().values().cloned().collect();
    let mut heard = 0;
    for client in clients {
        let push = |parts: &[&[u8]]| client.send(broker, &Value::Push(parts.iter().map(Value::text).collect()));
        let channels = if sharded { &client.shards } else { &client.channels };
        if channels.borrow().contains(channel) {
            push(&[if sharded { b"smessage" } else { b"message" }, channel, payload]);
            heard += 1;
        }
        if sharded {
            continue;
        }
        for pattern in client.patterns.borrow().iter().filter(|pattern| glob_matches(pattern, channel)) {
            push(&[b"pmessage", pattern, channel, payload]);
            heard += 1;
        }
    }
    Value::Number(heard)
}

fn number(text: &[u8]) -> u64 {
    std::str::from_utf8(text).unwrap().parse().unwrap()
}

fn score(text: &[u8]) -> f64 {
    std::str::from_utf8(text).unwrap().parse().unwrap()
}

/// `-`, `+`, `major-minor`, or `major` with this minor.
fn id(text: &[u8], minor: u64) -> Id {
    match text {
        b"-" => (0, 0),
        b"+" => (u64::MAX, u64::MAX),
        _ => {
            let text = std::str::from_utf8(text).unwrap();
            text.split_once('-')
                .map_or_else(|| (text.parse().unwrap(), minor), |(major, minor)| (major.parse().unwrap(), minor.parse().unwrap()))
        }
    }
}

fn id_text((major, minor): Id) -> String {
    format!("{major}-{minor}")
}
