//! A process is replaced while people talk: HAProxy sends it no new connections, its members leave when they like, and no line is
//! lost.

use crate::broker::Broker;
use crate::diary::{Diary, Pages};
use crate::names::Guest;
use crate::people::{PEOPLE, People};
use crate::programs::{Cluster, Program};

fn replaced(broker: Option<Broker>) {
    let Some(mut cluster) = Cluster::start(broker) else { return };
    let diary = Diary::default();
    let people = People::talk(&cluster.haproxy.address(), &diary);
    diary.wait_until_everybody_talks("everybody comes and talks");
    cluster.haproxy_command("set server processes/one state drain");
    diary.wait_until_everybody_talks("everybody talks while the process is drained");
    let members = members(&cluster.one, &cluster.two, &diary);
    assert!(!members.is_empty() && members.len() < PEOPLE.len(), "{members:?} are on the first process");
    assert_eq!(ended(&diary.read()), 0, "nobody was disconnected");
    assert_eq!(connections(&cluster), members.len().to_string());
    people.come_again(&members);
    diary.wait_until("they have come again", |pages| ended(pages) == members.len());
    diary.wait_until_everybody_talks("everybody talks on the other process");
    diary.wait_until("HAProxy sees nobody on the process", |_| connections(&cluster) == "0");
    if !cluster.one.stop() {
        return;
    }
    diary.wait_until_everybody_talks("everybody talks while the process is away");
    cluster.one.again();
    cluster.haproxy_command("set server processes/one state ready");
    diary.wait_until("HAProxy sees the new one", |_| status(&cluster) == "UP");
    // leastconn: it has nobody yet.
    let mut newcomer = Guest::asked(&cluster.haproxy.address());
    newcomer.says("grace");
    assert!(newcomer.is_in("grace"));
    diary.wait_until("the newcomer is on the new one", |_| {
        cluster.one.printed().iter().any(|line| line.starts_with("grace is at "))
    });
    people.hush();
    let check = diary.wait_until_all_is_heard();
    assert_eq!(check.gaps, 0);
    let pages = diary.read();
    assert_eq!(ended(&pages), members.len(), "nobody was disconnected: {}", pages.text());
    let kept = pages.kept();
    for (number, session) in pages.sessions.iter().enumerate() {
        let heard = kept.get(&number).map_or(0, |lines| lines.len() as u64);
        assert_eq!(heard, session.said, "so many lines of {}'s session {number} were heard", session.who);
    }
}

/// Who is on the first of two processes.
fn members(one: &Program, two: &Program, diary: &Diary) -> Vec<&'static str> {
    let on = |process: &Program, pages: &Pages| -> Vec<_> {
        let printed = process.printed();
        let here = |who: &&str| {
            let from = pages.current(who).map(|session| pages.sessions[session].from.as_str());
            from.is_some_and(|from| printed.contains(&format!("{who} is at {from}")))
        };
        PEOPLE.into_iter().filter(here).collect()
    };
    // What they print comes by a pipe, later than their welcome.
    diary.wait_until("everybody is somewhere", |pages| on(one, pages).len() + on(two, pages).len() == PEOPLE.len());
    let pages = diary.read();
    on(one, &pages)
}

/// How many sessions have ended.
fn ended(pages: &Pages) -> usize {
    pages.sessions.iter().filter(|session| session.has_ended).count()
}

/// How many connections HAProxy has to the first process.
fn connections(cluster: &Cluster) -> String {
    field(cluster, 5)
}

/// What HAProxy thinks of the first process.
fn status(cluster: &Cluster) -> String {
    field(cluster, 18)
}

/// A field of what HAProxy says of the first process; the first has the number 1.
fn field(cluster: &Cluster, number: usize) -> String {
    let said = cluster.haproxy_command("show stat processes 4 -1");
    let line = said.lines().find(|line| line.starts_with("processes,one,")).unwrap_or_else(|| panic!("{said}"));
    line.split(',').nth(number - 1).unwrap_or_default().to_owned()
}

#[test]
fn with_redis_a_process_is_replaced_and_nobody_loses_a_line() {
    replaced(Broker::redis());
}

#[test]
fn with_nats_a_process_is_replaced_and_nobody_loses_a_line() {
    replaced(Broker::nats());
}
