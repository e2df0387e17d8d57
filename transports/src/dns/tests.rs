//! The parts of a look-up, one by one.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use proptest::prelude::*;

use super::answer::{self, Answer, Useless};
use super::cache::Cache;
use super::config::DnsConfig;
use super::precedence;
use super::query::{Query, Question, is_truncated};
use super::servers::Servers;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

fn question(text: &str) -> Question {
    Question { name: name(text), kind: RecordType::A }
}

/// A question for `host.test.`, and the empty answer to it.
fn asked() -> (Query, Vec<u8>) {
    let query = Query::new(&question("host.test."), 0x1234).unwrap();
    let mut answer = query.message.clone();
    answer[2] |= 0b1000_0000;
    (query, answer)
}

fn message(answers: Vec<Record>, authorities: Vec<Record>, code: ResponseCode) -> Vec<u8> {
    let mut message = Message::new(0x1234, MessageType::Response, OpCode::Query);
    message.metadata.response_code = code;
    message.add_answers(answers).add_authorities(authorities);
    message.to_vec().unwrap()
}

fn alias(from: &str, to: &str, ttl: u32) -> Record {
    Record::from_rdata(name(from), ttl, RData::CNAME(CNAME(name(to))))
}

fn host(host: &str, last: u8, ttl: u32) -> Record {
    Record::from_rdata(name(host), ttl, RData::A(A::new(10, 0, 0, last)))
}

fn soa(ttl: u32, minimum: u32) -> Record {
    Record::from_rdata(name("test."), ttl, RData::SOA(SOA::new(name("test."), name("test."), 1, 1, 1, 1, minimum)))
}

fn addresses(last: &[u8]) -> Vec<IpAddr> {
    last.iter().map(|last| [10, 0, 0, *last].into()).collect()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn only_what_repeats_the_id_and_the_question_is_an_answer() {
    let (query, answer) = asked();
    assert!(query.is_answered_by(&answer));
    assert!(!query.is_answered_by(&query.message), "a question is not an answer");
    let mut shouted = answer.clone();
    shouted[12..].make_ascii_uppercase();
    assert!(query.is_answered_by(&shouted), "the case does not matter");
    // Everything except the flags that an answer sets, its code, and its record counts.
    for place in (0..answer.len()).filter(|place| !matches!(place, 3 | 6..12)) {
        let mut wrong = answer.clone();
        wrong[place] ^= if place == 2 { 0b0111_1000 } else { 1 };
        assert!(!query.is_answered_by(&wrong), "byte {place}");
    }
    for length in 0..answer.len() {
        assert!(!query.is_answered_by(&answer[..length]));
    }
}

#[test]
fn aliases_are_followed_and_the_shortest_lifetime_holds() {
    let answers = vec![
        host("end.test.", 1, 300),
        alias("middle.test.", "END.test.", 60),
        host("other.test.", 9, 300),
        alias("host.test.", "middle.test.", 200),
        host("end.test.", 2, 100),
    ];
    let read = answer::read(&message(answers, vec![], ResponseCode::NoError), &question("host.test.")).unwrap();
    assert_eq!(read, Answer { addresses: addresses(&[1, 2]), ttl: seconds(60) });
}

#[test]
fn aliases_in_a_circle_have_no_address() {
    let circle = vec![alias("host.test.", "b.test.", 60), alias("b.test.", "host.test.", 60)];
    let read = answer::read(&message(circle, vec![], ResponseCode::NoError), &question("host.test.")).unwrap();
    assert_eq!(read, Answer { addresses: vec![], ttl: Duration::ZERO });
}

#[test]
fn the_absence_of_addresses_holds_for_as_long_as_the_zone_says_and_three_hours_at_most() {
    let read = |authorities, code| answer::read(&message(vec![], authorities, code), &question("host.test.")).unwrap().ttl;
    assert_eq!(read(vec![soa(600, 30)], ResponseCode::NXDomain), seconds(30));
    assert_eq!(read(vec![soa(20, 30)], ResponseCode::NoError), seconds(20));
    assert_eq!(read(vec![soa(1 << 30, 1 << 30)], ResponseCode::NXDomain), seconds(3 * 3600));
    assert_eq!(read(vec![], ResponseCode::NXDomain), Duration::ZERO);
}

#[test]
fn lifetimes_are_bounded_as_is_the_number_of_addresses() {
    let read = |answers| answer::read(&message(answers, vec![], ResponseCode::NoError), &question("host.test.")).unwrap();
    assert_eq!(read(vec![host("host.test.", 1, i32::MAX as u32)]).ttl, seconds(24 * 3600));
    assert_eq!(read(vec![host("host.test.", 1, u32::MAX)]).ttl, Duration::ZERO);
    assert_eq!(read((0..200).map(|last| host("host.test.", last, 60)).collect()).addresses.len(), 64);
}

#[test]
fn a_server_that_refuses_does_not_help() {
    for code in [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::FormErr, ResponseCode::NotImp] {
        let read = answer::read(&message(vec![], vec![], code), &question("host.test."));
        assert!(matches!(read, Err(Useless::Code(said)) if said == code), "{code}");
    }
}

#[test]
fn the_cache_is_limited_and_forgets_what_expires_first() {
    let mut cache = Cache::default();
    let answer = |ttl| Answer { addresses: addresses(&[1]), ttl: seconds(ttl) };
    cache.insert(question("short.test."), answer(5), Duration::ZERO);
    for number in 0..5000 {
        cache.insert(question(&format!("host{number}.test.")), answer(10 + number), Duration::ZERO);
    }
    assert_eq!(cache.len(), 1024);
    assert!(cache.get(&question("short.test."), Duration::ZERO).is_none(), "it made room");
    assert!(cache.get(&question("HOST4999.test."), seconds(5008)).is_some());
    assert!(cache.get(&question("host4999.test."), seconds(5009)).is_none(), "it has expired");
    cache.insert(question("none.test."), answer(0), Duration::ZERO);
    assert!(cache.get(&question("none.test."), Duration::ZERO).is_none());
}

#[test]
fn servers_that_have_failed_are_asked_last_for_a_while() {
    let [one, two] = ["10.0.0.1:53", "10.0.0.2:53"].map(|text| text.parse::<SocketAddr>().unwrap());
    let servers = Servers::new(&[one, two], false);
    servers.failed(one, seconds(10));
    assert_eq!(servers.order(seconds(39)), [two, one]);
    assert_eq!(servers.order(seconds(40)), [one, two]);
    servers.failed(one, seconds(40));
    servers.answered(one);
    assert_eq!(servers.order(seconds(41)), [one, two]);
    let rotated = Servers::new(&[one, two], true);
    assert_eq!([(); 3].map(|()| rotated.order(Duration::ZERO)[0]), [one, two, one]);
}

#[test]
fn a_resolv_conf_is_read_as_the_system_reads_it() {
    let text = "# comment\n; another\ndomain lost.example\nnameserver 10.0.0.1\nnameserver ::1\nnameserver nonsense\nsearch a.example b.example.\n\
        nameserver fe80::1%1\nnameserver 10.0.0.4\noptions ndots:20 timeout:0 attempts:9 edns0 rotate\nsortlist 1.2.3.4\n";
    let config = DnsConfig::from_resolv_conf(text);
    assert_eq!(config.servers[..2], ["10.0.0.1:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
    assert!(config.servers.len() == 3 && !config.servers[2].to_string().starts_with("10."), "{:?}", config.servers);
    assert_eq!(config.search, ["a.example", "b.example."]);
    assert_eq!((config.ndots, config.timeout, config.attempts, config.rotate), (15, seconds(1), 5, true));
    assert_eq!(DnsConfig::from_resolv_conf(""), DnsConfig::default());
}

#[test]
fn the_search_list_comes_first_for_names_with_few_dots() {
    let config = DnsConfig::from_resolv_conf("search a.example b.example.\noptions ndots:2");
    assert_eq!(config.candidates("www"), ["www.a.example.", "www.b.example.", "www."]);
    assert_eq!(config.candidates("www.x.y"), ["www.x.y.", "www.x.y.a.example.", "www.x.y.b.example."]);
    assert_eq!(config.candidates("www."), ["www."]);
}

#[test]
fn addresses_are_sorted_by_the_policy_table() {
    let order = |texts: &[&str]| {
        let mut addresses: Vec<_> = texts.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect();
        precedence::sort(&mut addresses);
        addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>()
    };
    let mixed = ["fd00::1", "10.0.0.2", "2001:db8::1", "2001::1", "10.0.0.1", "2002::1", "::1", "2001:db8::2", "fec0::1"];
    let sorted = ["::1", "2001:db8::1", "2001:db8::2", "10.0.0.2", "10.0.0.1", "2002::1", "2001::1", "fd00::1", "fec0::1"];
    assert_eq!(order(&mixed), sorted);
}

#[test]
fn the_longest_chain_of_pointers_is_walked_to_its_end() {
    // The longest answer over TCP: half of it are pointers, each to the one before, in a record of unknown type; then come
    // addresses of the name that the last one leads to.
    let (query, mut answer) = asked();
    answer.extend([0xc0, 12, 0xff, 0, 0, 1, 0, 0, 0, 60]);
    answer.extend(4000_u16.to_be_bytes());
    let mut before = 12_u16;
    for _ in 0..2000 {
        let place = answer.len() as u16;
        answer.extend((0xc000 | before).to_be_bytes());
        before = place;
    }
    let mut records = 1_u16;
    while answer.len() + 16 <= 8 << 10 {
        answer.extend((0xc000 | before).to_be_bytes());
        answer.extend([0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 1]);
        records += 1;
    }
    answer[6..8].copy_from_slice(&records.to_be_bytes());
    assert!(query.is_answered_by(&answer));
    assert_eq!(answer::read(&answer, &question("host.test.")).unwrap().addresses.len(), 64);
}

proptest! {
    /// Random bytes after a valid header and question, without which an answer is not read at all.
    #[test]
    fn no_message_panics(flags in any::<[u8; 2]>(), counts in any::<[u8; 6]>(), rest in prop::collection::vec(any::<u8>(), 0..600)) {
        let (query, mut answer) = asked();
        answer[2..4].copy_from_slice(&flags);
        answer[6..12].copy_from_slice(&counts);
        answer.extend(rest);
        query.is_answered_by(&answer);
        is_truncated(&answer);
        drop(answer::read(&answer, &question("host.test.")));
    }

    /// Real answers with some bytes changed.
    #[test]
    fn no_damaged_message_panics(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let answers = vec![alias("host.test.", "b.test.", 60), host("b.test.", 1, 60), host("b.test.", 2, 60)];
        let mut message = message(answers, vec![soa(1, 1)], ResponseCode::NoError);
        for (place, value) in damage {
            let place = place.index(message.len());
            message[place] = value;
        }
        drop(answer::read(&message, &question("host.test.")));
    }

    #[test]
    fn no_text_of_a_configuration_panics(text in "(nameserver|search|options|domain|[ -~]{0,20}|\n| |:|%){0,30}", name in "\\PC{0,300}") {
        let config = DnsConfig::from_resolv_conf(&text);
        prop_assert!(config.servers.len() <= 3);
        prop_assert!(config.candidates(&name).iter().all(|candidate| candidate.ends_with('.')));
    }
}
