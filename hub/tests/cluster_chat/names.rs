//! Two people on two processes who want the same name at the same moment.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::broker::Broker;
use crate::programs::{Cluster, Program};

const ROUNDS: usize = 30;

/// Somebody who is asked for a name.
pub(crate) struct Guest(BufReader<TcpStream>);

impl Guest {
    pub(crate) fn asked(address: &str) -> Self {
        Self::asked_over(TcpStream::connect(address).unwrap())
    }

    /// On a certain process, where it speaks for HAProxy.
    fn asked_by(process: &Program) -> Self {
        let mut stream = TcpStream::connect(process.address()).unwrap();
        stream.write_all(b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 8123\r\n").unwrap();
        Self::asked_over(stream)
    }

    fn asked_over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(Duration::from_secs(300))).unwrap();
        let mut guest = Self(BufReader::new(stream));
        assert_eq!(guest.line(), "What's your name?");
        guest
    }

    pub(crate) fn says(&self, line: &str) {
        self.0.get_ref().write_all(format!("{line}\r\n").as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Whether the answer is a welcome; that the name is taken otherwise.
    pub(crate) fn is_in(&mut self, name: &str) -> bool {
        let line = self.line();
        assert!(line == format!("Welcome, {name}!") || line == "Name taken, please choose another.", "{line}");
        line.starts_with("Welcome")
    }
}

fn one_of_two(broker: Option<Broker>) {
    let Some(cluster) = Cluster::start(broker) else { return };
    let address = cluster.haproxy.address();
    for round in 0..ROUNDS {
        let name = format!("twin{round}");
        // leastconn: on two processes.
        let mut guests = [Guest::asked(&address), Guest::asked(&address)];
        guests.iter().for_each(|guest| guest.says(&name));
        let welcomed = guests.iter_mut().map(|guest| guest.is_in(&name)).filter(|is_in| *is_in).count();
        assert_eq!(welcomed, 1, "so many are {name}");
        let mut third = Guest::asked(&address);
        third.says(&name);
        assert!(!third.is_in(&name), "{name} is there twice");
        drop(guests);
        // And it is free again: at once, or once their leaving is known.
        let mut next = Guest::asked(&address);
        loop {
            next.says(&name);
            if next.is_in(&name) {
                break;
            }
        }
    }
}

fn stopped(broker: Option<Broker>) {
    let Some(mut cluster) = Cluster::start(broker) else { return };
    let mut ada = Guest::asked_by(&cluster.one);
    ada.says("ada");
    assert!(ada.is_in("ada"));
    let mut other = Guest::asked_by(&cluster.two);
    other.says("ada");
    assert!(!other.is_in("ada"));
    if !cluster.one.stop() {
        return;
    }
    other.says("ada");
    assert!(other.is_in("ada"), "its process has taken it back before it ended");
}

#[test]
fn with_redis_the_names_of_a_process_that_was_stopped_are_free_once_it_has_ended() {
    stopped(Broker::redis());
}

#[test]
fn with_nats_the_names_of_a_process_that_was_stopped_are_free_once_it_has_ended() {
    stopped(Broker::nats());
}

#[test]
fn with_redis_one_of_two_who_want_a_name_at_the_same_moment_gets_it() {
    one_of_two(Broker::redis());
}

#[test]
fn with_nats_one_of_two_who_want_a_name_at_the_same_moment_gets_it() {
    one_of_two(Broker::nats());
}
