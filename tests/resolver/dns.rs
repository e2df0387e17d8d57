//! DNS in simulated networks: which queries are sent where and how often, and which answers are believed.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::{Faults, Host, Simulation, simulate_with};
use torsade::{DnsConfig, DnsResolver, FixedResolver, spi::copy_error, wire::Echo};

use crate::answering::{A, AAAA, Asked, Record, Reply, Server, address, alias, answer, code, no_such_name, now, truncated};

const CLIENT: &str = "10.0.0.1";
const FIRST: &str = "10.0.0.53";
const SECOND: &str = "10.0.0.54";

fn config(servers: &[&str]) -> DnsConfig {
    servers.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 53)).collect::<Vec<_>>().into()
}

/// A client's host with a resolver.
fn client(simulation: &Simulation, config: DnsConfig) -> Host {
    let host = simulation.host(CLIENT);
    host.set_resolver(DnsResolver::new(config));
    host
}

/// Looks up a name; returns how long it took, and what was found, as texts, or the error.
fn timed_look_up(simulation: &Simulation, host: &Host, name: &str) -> (Duration, Result<Vec<String>, io::Error>) {
    let (begun, addresses) = (simulation.now(), host.resolve(name));
    simulation.run_until(|| addresses.is_called()).unwrap();
    let found = addresses.into_result().unwrap();
    let texts = found.map(|found| found.iter().map(|address| address.ip().to_string()).collect());
    (simulation.now() - begun, texts.map_err(|failure| copy_error(failure.downcast_ref().unwrap())))
}

fn look_up(simulation: &Simulation, host: &Host, name: &str) -> Vec<String> {
    timed_look_up(simulation, host, name).1.unwrap()
}

fn look_up_error(simulation: &Simulation, host: &Host, name: &str) -> io::Error {
    timed_look_up(simulation, host, name).1.unwrap_err()
}

/// Addresses of both families for `host.test`.
fn records() -> Vec<Record> {
    vec![address("host.test", "10.0.0.7", 300), address("host.test", "fd00::7", 300), address("host.test", "2001:db8::7", 300)]
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn both_families_are_asked_for_at_once_and_sorted() {
    let simulation = Simulation::new(1);
    let server = Server::start(&simulation.host(FIRST), |asked| now(answer(asked, records())));
    let host = client(&simulation, config(&[FIRST]));
    let (took, found) = timed_look_up(&simulation, &host, "host.test");
    assert_eq!(found.unwrap(), ["2001:db8::7", "10.0.0.7", "fd00::7"]);
    assert!(took < Duration::from_millis(5), "{took:?}");
    assert_eq!(server.take_asked(), ["host.test A", "host.test AAAA"]);
    host.assert_clean();
}

#[test]
fn a_connection_by_name_is_made_through_it() {
    let simulation = Simulation::new(1);
    Server::start(&simulation.host(FIRST), |asked| now(answer(asked, vec![address("host.test", "10.0.0.7", 60)])));
    simulation.host("10.0.0.7").listen_tcp("0.0.0.0:7", |_peer| Echo).unwrap();
    let host = client(&simulation, config(&[FIRST]));
    let connected = host.connect_protocol("host.test:7", Echo);
    simulation.run_until(|| connected.is_called()).unwrap();
    assert_eq!(connected.into_result().unwrap().unwrap().peer(), Address::Tcp("10.0.0.7:7".parse().unwrap()));
}

#[test]
fn an_alias_is_followed_to_its_addresses() {
    let simulation = Simulation::new(1);
    let decide = |asked: &Asked| {
        let records = vec![alias("www.test", "host.test", 60), address("host.test", "10.0.0.7", 60)];
        now(answer(asked, records))
    };
    Server::start(&simulation.host(FIRST), decide);
    let host = client(&simulation, config(&[FIRST]));
    assert_eq!(look_up(&simulation, &host, "www.test"), ["10.0.0.7"]);
}

#[test]
fn what_is_lost_is_asked_again_when_the_time_is_up() {
    let simulation = Simulation::new(1);
    let lost = Cell::new(0);
    let decide = move |asked: &Asked| {
        lost.set(lost.get() + 1);
        // The first query of each family.
        if lost.get() <= 2 { vec![] } else { now(answer(asked, records())) }
    };
    let server = Server::start(&simulation.host(FIRST), decide);
    let host = client(&simulation, config(&[FIRST]));
    let (took, found) = timed_look_up(&simulation, &host, "host.test");
    assert_eq!((found.unwrap().len(), took.as_secs()), (3, 5));
    assert_eq!(server.take_asked().len(), 4);
}

#[test]
fn a_server_that_never_answers_is_abandoned() {
    let simulation = Simulation::new(1);
    let server = Server::start(&simulation.host(FIRST), |_| vec![]);
    let host = client(&simulation, DnsConfig { timeout: seconds(2), attempts: 3, ..config(&[FIRST]) });
    let (took, found) = timed_look_up(&simulation, &host, "host.test");
    let error = found.unwrap_err().to_string();
    assert!(took.as_secs() == 6 && error.contains("10.0.0.53:53: no answer within 2s"), "{took:?}: {error}");
    assert_eq!(server.take_asked().len(), 6);
    host.assert_clean();
}

#[test]
fn ipv6_addresses_are_waited_for_50_ms_and_ipv4_ones_for_as_long_as_it_takes() {
    for (slow, expected) in [(AAAA, "10.0.0.7"), (A, "2001:db8::7")] {
        let simulation = Simulation::new(1);
        let decide = move |asked: &Asked| {
            let delay = if asked.kind == slow { Duration::from_secs(1) } else { Duration::ZERO };
            vec![(delay, answer(asked, records()))]
        };
        Server::start(&simulation.host(FIRST), decide);
        let host = client(&simulation, config(&[FIRST]));
        let (took, found) = timed_look_up(&simulation, &host, "host.test");
        assert_eq!(found.unwrap()[0], expected);
        assert_eq!(took.as_millis() / 50, if slow == AAAA { 1 } else { 20 }, "{took:?}");
        simulation.run_for(seconds(2)).unwrap();
        host.assert_clean();
    }
}

#[test]
fn a_truncated_answer_is_asked_for_by_tcp() {
    let simulation = Simulation::new(1);
    let many = |asked: &Asked| (1..=200).map(|last| address(&asked.name, &format!("10.1.0.{last}"), 60)).collect();
    let server = Server::start(&simulation.host(FIRST), move |asked| {
        now(if asked.tcp { answer(asked, many(asked)) } else { truncated(asked) })
    });
    let host = client(&simulation, config(&[FIRST]));
    assert_eq!(look_up(&simulation, &host, "host.test").len(), 64);
    let mut asked = server.take_asked();
    asked.sort();
    assert_eq!(asked, ["host.test A", "host.test A tcp", "host.test AAAA", "host.test AAAA tcp"]);
    simulation.run_for(seconds(1)).unwrap();
    host.assert_clean();
}

#[test]
fn a_server_that_fails_over_tcp_does_not_help_and_the_next_is_asked() {
    let garbage: fn(&Asked) -> Vec<Reply> = |asked| now(vec![0; asked.message.len()]);
    let cut: fn(&Asked) -> Vec<Reply> = |asked| now(asked.message[..5].to_vec());
    let long: fn(&Asked) -> Vec<Reply> = |asked| now([code(asked, 0), vec![0; 20_000]].concat());
    let ends: fn(&Asked) -> Vec<Reply> = |_| vec![];
    let waits: fn(&Asked) -> Vec<Reply> = |_| vec![(seconds(3600), vec![])];
    for by_tcp in [garbage, cut, long, ends, waits] {
        let simulation = Simulation::new(1);
        Server::start(&simulation.host(FIRST), move |asked| if asked.tcp { by_tcp(asked) } else { now(truncated(asked)) });
        Server::start(&simulation.host(SECOND), |asked| now(answer(asked, records())));
        let host = client(&simulation, config(&[FIRST, SECOND]));
        assert_eq!(look_up(&simulation, &host, "host.test").len(), 3);
        simulation.run_for(seconds(1)).unwrap();
        host.assert_clean();
    }
}

#[test]
fn what_does_not_answer_the_question_is_not_believed() {
    let simulation = Simulation::new(1);
    let lie = |asked: &Asked| answer(asked, vec![address(&asked.name, "6.6.6.6", 60), address(&asked.name, "2001:db8::666", 60)]);
    let decide = move |asked: &Asked| {
        let [mut other_id, mut other_name, mut no_answer] = [lie(asked), lie(asked), lie(asked)];
        other_id[1] ^= 1;
        other_name[13] ^= 1;
        no_answer[2] &= 0x7f;
        let half = lie(asked)[..20].to_vec();
        let lies = [other_id, other_name, no_answer, half, vec![], vec![0xff; 1500]];
        let mut replies: Vec<_> = lies.into_iter().map(|lie| (Duration::ZERO, lie)).collect();
        replies.push((Duration::from_millis(20), answer(asked, records())));
        replies
    };
    Server::start(&simulation.host(FIRST), decide);
    let host = client(&simulation, config(&[FIRST]));
    assert_eq!(look_up(&simulation, &host, "host.test"), ["2001:db8::7", "10.0.0.7", "fd00::7"]);
}

#[test]
fn what_another_host_sends_is_not_believed_even_with_the_right_id() {
    let simulation = Simulation::new(1);
    struct Spy;
    impl DatagramProtocol for Spy {
        fn datagram_received(&mut self, _: &DatagramTransport, _: &[u8], _: &Address) -> Result {
            Ok(())
        }
    }
    let spy = simulation.host("10.0.0.66").listen_udp("0.0.0.0:53", Spy).unwrap();
    let sent = Rc::new(Cell::new(0));
    let count = sent.clone();
    let decide = move |asked: &Asked| {
        // The attacker sees the query, and guesses every port.
        let lie = answer(asked, vec![address(&asked.name, "6.6.6.6", 60)]);
        for port in 49_152..49_160 {
            spy.write_to(&lie, &Address::Udp(SocketAddr::new(CLIENT.parse().unwrap(), port)));
            count.set(count.get() + 1);
        }
        vec![(Duration::from_millis(20), answer(asked, vec![address(&asked.name, "10.0.0.7", 60)]))]
    };
    Server::start(&simulation.host(FIRST), decide);
    let host = client(&simulation, config(&[FIRST]));
    assert_eq!(look_up(&simulation, &host, "host.test"), ["10.0.0.7"]);
    assert_eq!(sent.get(), 16);
}

#[test]
fn an_answer_is_kept_for_as_long_as_it_says() {
    let simulation = Simulation::new(1);
    let server = Server::start(&simulation.host(FIRST), |asked| {
        now(answer(asked, vec![address("host.test", "10.0.0.7", 300), address("host.test", "fd00::7", 100)]))
    });
    let host = client(&simulation, config(&[FIRST]));
    let asked_at = |wait, name: &str| {
        simulation.run_for(seconds(wait)).unwrap();
        assert_eq!(look_up(&simulation, &host, name).len(), 2);
        server.take_asked()
    };
    assert_eq!(asked_at(0, "host.test").len(), 2);
    assert_eq!(asked_at(90, "HOST.test").len(), 0);
    assert_eq!(asked_at(20, "host.test"), ["host.test AAAA"], "after 110 s");
    assert_eq!(asked_at(195, "host.test").len(), 2, "after 305 s, of the first and 195 s of the other");
}

#[test]
fn the_absence_of_a_name_is_kept_for_as_long_as_the_zone_says() {
    let simulation = Simulation::new(1);
    let server = Server::start(&simulation.host(FIRST), |asked| now(no_such_name(asked, 60)));
    let host = client(&simulation, config(&[FIRST]));
    let asked_at = |wait| {
        simulation.run_for(seconds(wait)).unwrap();
        let error = look_up_error(&simulation, &host, "nobody.test");
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
        server.take_asked().len()
    };
    assert_eq!([asked_at(0), asked_at(55), asked_at(10)], [2, 0, 2]);
}

#[test]
fn the_search_list_is_tried_in_its_order() {
    let simulation = Simulation::new(1);
    let known = |asked: &Asked| asked.name == "www.b.test" || asked.name == "www.x.a.test";
    let server = Server::start(&simulation.host(FIRST), move |asked| {
        now(if known(asked) { answer(asked, vec![address(&asked.name, "10.0.0.7", 60)]) } else { no_such_name(asked, 60) })
    });
    let text = format!("nameserver {FIRST}\nsearch a.test b.test c.test");
    let host = client(&simulation, DnsConfig::from_resolv_conf(&text));
    let asked = |name: &str, found: bool| {
        let (_, result) = timed_look_up(&simulation, &host, name);
        assert_eq!(result.is_ok(), found, "{name}: {result:?}");
        let mut asked: Vec<_> = server.take_asked();
        asked.retain(|asked| asked.ends_with(" A"));
        asked
    };
    assert_eq!(asked("www", true), ["www.a.test A", "www.b.test A"]);
    assert_eq!(asked("www.x", true), ["www.x A", "www.x.a.test A"]);
    assert_eq!(asked("w.", false), ["w A"]);
    assert_eq!(asked("v", false), ["v.a.test A", "v.b.test A", "v.c.test A", "v A"]);
}

#[test]
fn a_server_that_cannot_tell_is_followed_by_the_next_and_the_search_does_not_go_on_without_an_answer() {
    let simulation = Simulation::new(1);
    let server = Server::start(&simulation.host(FIRST), |asked| now(code(asked, 2)));
    let text = format!("nameserver {FIRST}\nsearch a.test b.test");
    let host = client(&simulation, DnsConfig::from_resolv_conf(&text));
    let error = look_up_error(&simulation, &host, "www");
    assert!(error.to_string().contains("10.0.0.53:53: it says:"), "{error}");
    assert!(server.take_asked().iter().all(|asked| asked.starts_with("www.a.test ")));
    Server::start(&simulation.host(SECOND), |asked| now(answer(asked, vec![address(&asked.name, "10.0.0.7", 60)])));
    host.set_resolver(DnsResolver::new(config(&[FIRST, SECOND])));
    assert_eq!(look_up(&simulation, &host, "www."), ["10.0.0.7"]);
}

#[test]
fn when_a_server_is_killed_or_crashes_in_mid_run_another_takes_over() {
    for crash in [false, true] {
        let simulation = Simulation::new(1);
        let decide = |asked: &Asked| now(answer(asked, vec![address(&asked.name, "10.0.0.7", 60)]));
        let servers = [FIRST, SECOND].map(|ip| Server::start(&simulation.host(ip), decide));
        let host = client(&simulation, config(&[FIRST, SECOND]));
        assert_eq!(look_up(&simulation, &host, "one.test"), ["10.0.0.7"]);
        assert_eq!([servers[0].take_asked().len(), servers[1].take_asked().len()], [2, 0]);
        if crash {
            simulation.host(FIRST).crash()
        } else {
            simulation.host(FIRST).kill()
        }
        let (took, found) = timed_look_up(&simulation, &host, "two.test");
        assert_eq!(
            (found.unwrap().len(), took.as_secs()),
            (1, if crash { 5 } else { 0 }),
            "it is reported that nothing is there"
        );
        let (took, _) = timed_look_up(&simulation, &host, "three.test");
        assert!(took < seconds(1), "the one that answers is asked first by now: {took:?}");
        assert_eq!(servers[1].take_asked().len(), 4);
        // The first server comes back, and after a while it is tried first again.
        let first = Server::start(&simulation.host(FIRST).restart(), decide);
        simulation.run_for(seconds(31)).unwrap();
        look_up(&simulation, &host, "four.test");
        assert_eq!([first.take_asked().len(), servers[1].take_asked().len()], [2, 0]);
        host.assert_clean();
    }
}

#[test]
fn those_who_ask_for_the_same_name_share_the_questions() {
    let simulation = Simulation::new(1);
    let server = Server::start(&simulation.host(FIRST), |asked| now(answer(asked, records())));
    let host = client(&simulation, config(&[FIRST]));
    let asked: Vec<_> = (0..1000).map(|_| host.resolve("host.test")).collect();
    simulation.run_until(|| asked.iter().all(Deferred::is_called)).unwrap();
    assert_eq!(server.take_asked().len(), 2);
}

#[test]
fn however_many_names_are_asked_for_so_many_questions_are_under_way() {
    let simulation = Simulation::new(1);
    let open = Rc::new(Cell::new(0_i32));
    let there = open.clone();
    Server::start(&simulation.host(FIRST), move |asked| {
        there.set(there.get() + 1);
        vec![(seconds(1), answer(asked, vec![address(&asked.name, "10.0.0.7", 60)]))]
    });
    let host = client(&simulation, config(&[FIRST]));
    let asked: Vec<_> = (0..1000).map(|number| host.resolve(&format!("host{number}.test"))).collect();
    let mut most = 0;
    simulation
        .run_until(|| {
            most = most.max(host.source_count());
            asked.iter().all(Deferred::is_called)
        })
        .unwrap();
    assert_eq!(most, 64, "sockets, two for each of 32 names");
    assert_eq!(open.get(), 2000);
    simulation.run_until_idle().unwrap();
    host.assert_clean();
}

#[test]
fn hosts_come_first_and_localhost_is_never_asked_for() {
    let simulation = Simulation::new(1);
    let server = Server::start(&simulation.host(FIRST), |asked| now(no_such_name(asked, 60)));
    let host = simulation.host(CLIENT);
    let table = FixedResolver::from_hosts("10.0.0.9 host.test host # ours\n");
    host.set_resolver(DnsResolver::new(config(&[FIRST])).with_hosts(table));
    assert_eq!(look_up(&simulation, &host, "Host"), ["10.0.0.9"]);
    assert_eq!(look_up(&simulation, &host, "localhost"), ["::1", "127.0.0.1"]);
    assert_eq!(look_up(&simulation, &host, "a.localhost."), ["::1", "127.0.0.1"]);
    assert!(server.take_asked().is_empty());
}

#[test]
fn names_that_dns_cannot_have_are_unknown_without_a_question() {
    let simulation = Simulation::new(1);
    let server = Server::start(&simulation.host(FIRST), |asked| now(answer(asked, records())));
    let host = client(&simulation, config(&[FIRST]));
    let long = format!("{}.test", "a".repeat(64));
    for name in ["", "a..b", "w\u{e4}.test", "a b.test", &long, &"a.".repeat(200)] {
        assert_eq!(look_up_error(&simulation, &host, name).kind(), io::ErrorKind::NotFound, "{name:?}");
    }
    assert!(server.take_asked().is_empty());
}

#[test]
fn in_a_hostile_network_every_look_up_ends_with_what_is_true_or_an_error() {
    for faults in [Faults::lossy(), Faults::hostile()] {
        let faults = Faults { loss: 0.2, ..faults };
        simulate_with(&faults, 0..30, |simulation| {
            let decide = |asked: &Asked| {
                let records = vec![address(&asked.name, "10.0.0.7", 5), address(&asked.name, "fd00::7", 5)];
                now(if asked.name.len().is_multiple_of(2) && !asked.tcp { truncated(asked) } else { answer(asked, records) })
            };
            for ip in [FIRST, SECOND] {
                Server::start(&simulation.host(ip), decide);
            }
            let host = client(simulation, config(&[FIRST, SECOND]));
            let asked: Vec<_> = (0..20).map(|number| host.resolve(&format!("host{}.test", number * 7))).collect();
            simulation.run_until(|| asked.iter().all(Deferred::is_called))?;
            let found: Vec<_> = asked.into_iter().map(|addresses| addresses.into_result().unwrap()).collect();
            let answered = found.iter().filter(|result| result.is_ok()).count();
            assert!(answered >= found.len() / 2, "only {answered}");
            for result in &found {
                let known = ["10.0.0.7:0".parse()?, "[fd00::7]:0".parse()?];
                assert!(result.as_ref().map_or(true, |found| found.iter().all(|address| known.contains(address))), "{result:?}");
            }
            Ok::<_, Box<dyn std::error::Error>>(())
        });
    }
}
