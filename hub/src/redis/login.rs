//! The login.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::{Deferred, Firer};

use crate::error::EngineError;

use super::address::RedisAddress;
use super::command::Answer;
use super::link::Link;
use super::reply::Reply;

/// Later than any real clock, and early enough that arithmetic with it does not overflow. Since 1970.
const FAR: Duration = Duration::from_secs(1 << 40);

/// What the server says about itself at the login.
#[derive(Clone, Debug, Default)]
pub(super) struct Server {
    pub(super) is_cluster: bool,
    /// Why it will not report changed keys, if it will not.
    pub(super) untracked: Option<String>,
    /// Its clock, since 1970, minus the reactor's.
    pub(super) clock: Duration,
}

/// Switches to RESP3, logs in, and asks what kind of server it is.
///
/// The commands are sent together, and the first error is returned. An error of CLIENT TRACKING is only noted: live topics do
/// without it.
pub(super) fn log_in(link: &Link, address: &RedisAddress) -> Deferred<Server> {
    let (deferred, firer) = Deferred::new();
    let firer = Rc::new(Cell::new(Some(firer)));
    let server = Rc::new(Cell::new(Server::default()));
    let mut hello: Vec<&[u8]> = vec![b"HELLO", b"3"];
    if let Some((user, password)) = &address.login {
        hello.extend([&b"AUTH"[..], user.as_bytes(), password.as_bytes()]);
    }
    hello.extend([&b"SETNAME"[..], b"torsade"]);
    let (failed, about) = (Rc::clone(&firer), Rc::clone(&server));
    link.send_login(
        &hello,
        Answer::call(move |result| match result.and_then(|reply| greeting(&reply)) {
            Ok(server) => about.set(server),
            Err(EngineError::Unsupported(said)) => {
                fail(&failed, EngineError::Unsupported(format!("Redis 6 or later is needed ({said})")))
            }
            Err(error) => fail(&failed, error),
        }),
    );
    // It may accept the login and refuse everything else, while it loads its data.
    let failed = Rc::clone(&firer);
    link.send_login(
        &[b"PING"],
        Answer::call(move |result| {
            if let Err(error) = result {
                fail(&failed, error);
            }
        }),
    );
    let about = Rc::clone(&server);
    link.send_login(
        &[b"CLIENT", b"TRACKING", b"ON"],
        Answer::call(move |result| {
            let untracked = result.err().map(|error| error.to_string());
            about.set(Server { untracked, ..about.take() });
        }),
    );
    let of = link.clone();
    link.send_login(
        &[b"TIME"],
        Answer::call(move |result| match result.map(|reply| (clock(&reply), of.transport())) {
            Ok((Some(clock), Some(transport))) => {
                let server = Server { clock: clock.saturating_sub(transport.reactor().now()), ..server.take() };
                if let Some(firer) = firer.take() {
                    firer.callback(server);
                }
            }
            Ok(_) => fail(&firer, EngineError::Protocol("TIME was not answered with a time".to_owned())),
            Err(error) => fail(&firer, error),
        }),
    );
    deferred
}

fn fail(firer: &Cell<Option<Firer<Server>>>, error: EngineError) {
    if let Some(firer) = firer.take() {
        firer.errback(error);
    }
}

fn greeting(reply: &Reply) -> Result<Server, EngineError> {
    let text = |name| reply.get(name).and_then(Reply::text);
    if reply.get("proto").and_then(Reply::number) != Some(3) {
        return Err(EngineError::Protocol("HELLO was not answered in RESP3".to_owned()));
    }
    let is_cluster = text("mode") == Some(b"cluster");
    if !is_cluster && matches!(text("role"), Some(b"replica" | b"slave")) {
        return Err(EngineError::Unreachable("it is a replica, which takes nothing".to_owned()));
    }
    Ok(Server { is_cluster, ..Server::default() })
}

fn clock(reply: &Reply) -> Option<Duration> {
    let Reply::List(parts) = reply else { return None };
    let [seconds, micros] = &parts[..] else { return None };
    let time = Duration::from_secs(seconds.number()?).checked_add(Duration::from_micros(micros.number()?));
    time.filter(|time| *time < FAR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_nobody_will_see_is_none() {
        let time = |seconds: &str, micros: &str| {
            clock(&Reply::List([seconds, micros].map(|text| Reply::Text(text.as_bytes().to_vec())).into()))
        };
        assert_eq!(time("1796050182", "5"), Some(Duration::new(1_796_050_182, 5000)));
        assert_eq!(time("18446744073709551615", "18446744073709551615"), None);
        assert_eq!(time("18446744073709551615", "0"), None);
    }
}
