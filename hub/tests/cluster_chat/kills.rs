//! People talk while HAProxy, the processes and the broker are killed: 20 times in all, 10 with each engine.

use crate::broker::Broker;
use crate::diary::{Diary, Pages};
use crate::people::People;
use crate::programs::{Cluster, Program};

const PEOPLE: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "frank"];

#[derive(Clone, Copy, Debug)]
enum Victim {
    Broker,
    HaProxy,
    One,
    Two,
}

/// Ten of them; each once begun again at once, and once after a while.
const VICTIMS: [Victim; 10] = {
    use Victim::*;
    [Broker, One, HaProxy, Two, Broker, One, Broker, HaProxy, Two, Broker]
};

impl Victim {
    fn kill(self, cluster: &mut Cluster) {
        match self {
            Self::Broker => cluster.broker.kill(),
            Self::HaProxy => cluster.haproxy.kill(),
            Self::One => cluster.one.kill(),
            Self::Two => cluster.two.kill(),
        }
    }

    fn again(self, cluster: &mut Cluster) {
        match self {
            Self::Broker => cluster.broker.start(),
            Self::HaProxy => cluster.haproxy.again(),
            Self::One => cluster.one.again(),
            Self::Two => cluster.two.again(),
        }
    }
}

/// Those of both processes. A check of HAProxy's may have one for a moment.
fn descriptors(cluster: &Cluster) -> usize {
    [&cluster.one, &cluster.two].into_iter().filter_map(Program::descriptors).sum()
}

/// Kills ten times, and waits each time until everybody is there again, knows who else is, and hears the others.
fn survive(broker: Option<Broker>) {
    let Some(mut cluster) = Cluster::start(broker) else { return };
    let diary = Diary::default();
    let people = People::talk(&PEOPLE, &cluster.haproxy.address(), &diary);
    let talks = |what: &str| {
        let before = diary.read().said(&PEOPLE);
        diary.wait_until(what, |pages| pages.everybody_talks_since(&before, 20));
    };
    talks("everybody comes and talks");
    let before = descriptors(&cluster);
    for (round, victim) in VICTIMS.into_iter().enumerate() {
        let began = std::time::Instant::now();
        victim.kill(&mut cluster);
        if round % 2 == 0 {
            let said = |pages: &Pages| pages.sessions.iter().map(|session| session.said).sum::<u64>();
            let before = said(&diary.read());
            // Nobody talks through a proxy that is not there.
            diary.wait_until("people talk on", |pages| said(pages) > before + 100 || matches!(victim, Victim::HaProxy));
        }
        victim.again(&mut cluster);
        talks(&format!("everybody talks after {victim:?} was killed and begun again, round {round}"));
        println!("round {round}: {victim:?} killed, all well again after {:?}", began.elapsed());
    }
    people.hush();
    diary.wait_until("all has been heard", |pages| {
        let check = pages.check();
        check.pending.is_empty() || !check.wrong.is_empty()
    });
    let pages = diary.read();
    let check = pages.check();
    assert!(check.wrong.is_empty(), "{}\n{}", check.wrong.join("\n"), pages.text());
    println!("{} sessions, {} gaps told", pages.sessions.len(), check.gaps);
    // Nothing is left of the connections that were lost.
    let after = descriptors(&cluster);
    assert!(after <= before + 6, "{before} descriptors have become {after}");
    // Whoever was let in, was let in under the address that he had.
    let printed = [cluster.one.printed(), cluster.two.printed()].concat();
    for session in pages.sessions.iter().filter(|session| session.welcomed.is_some()) {
        let line = format!("{} is at {}", session.who, session.from);
        assert!(printed.contains(&line), "{line:?} was not printed, but: {printed:?}");
    }
}

/// A process hangs: HAProxy notices, and its members come again and get the other one. Then it goes on, and has nobody.
fn survive_a_hanging_process(broker: Option<Broker>) {
    let Some(cluster) = Cluster::start(broker) else { return };
    let diary = Diary::default();
    let people = People::talk(&PEOPLE, &cluster.haproxy.address(), &diary);
    let talks = |what: &str| {
        let before = diary.read().said(&PEOPLE);
        diary.wait_until(what, |pages| pages.everybody_talks_since(&before, 20));
    };
    talks("everybody comes and talks");
    if !cluster.two.freeze() {
        return;
    }
    talks("everybody talks on the process that does not hang");
    assert!(cluster.two.thaw());
    talks("everybody talks when it goes on");
    people.hush();
    diary.wait_until("all has been heard", |pages| {
        let check = pages.check();
        check.pending.is_empty() || !check.wrong.is_empty()
    });
    let check = diary.read().check();
    assert!(check.wrong.is_empty(), "{}\n{}", check.wrong.join("\n"), diary.read().text());
}

#[test]
fn with_redis_a_process_that_hangs_is_left_by_its_members() {
    survive_a_hanging_process(Broker::redis());
}

#[test]
fn with_nats_a_process_that_hangs_is_left_by_its_members() {
    survive_a_hanging_process(Broker::nats());
}

#[test]
fn with_redis_people_hear_each_other_in_order_whatever_is_killed() {
    survive(Broker::redis());
}

#[test]
fn with_nats_people_hear_each_other_in_order_whatever_is_killed() {
    survive(Broker::nats());
}
