//! People talk while the broker, a process and HAProxy are killed and restarted, each of them 20 times.

use crate::broker::Broker;
use crate::diary::{Diary, Pages};
use crate::people::{PEOPLE, People};
use crate::programs::{Cluster, Program};

/// How often each of the three is killed. What takes time is a process: its names stay for a period of presence.
const KILLS: usize = 20;

#[derive(Clone, Copy, Debug)]
enum Victim {
    Broker,
    HaProxy,
    One,
    Two,
}

/// What is killed, one after another: each begun again at once and after a while in turn.
fn victims() -> Vec<Victim> {
    let process = [Victim::One, Victim::One, Victim::Two, Victim::Two].into_iter().cycle();
    process.take(KILLS).flat_map(|process| [Victim::Broker, process, Victim::HaProxy]).collect()
}

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

/// Kills, and waits each time until everybody is there again, knows who else is, and hears the others.
fn survive(broker: Option<Broker>) {
    let Some(mut cluster) = Cluster::start(broker) else { return };
    let diary = Diary::default();
    let people = People::talk(&cluster.haproxy.address(), &diary);
    diary.wait_until_everybody_talks("everybody comes and talks");
    let before = descriptors(&cluster);
    for (round, victim) in victims().into_iter().enumerate() {
        let began = std::time::Instant::now();
        victim.kill(&mut cluster);
        if round % 2 == 0 {
            let said = |pages: &Pages| pages.sessions.iter().map(|session| session.said).sum::<u64>();
            let before = said(&diary.read());
            diary.wait_until("people talk on, or not at all where the proxy is not there", |pages| match victim {
                Victim::HaProxy => PEOPLE.iter().all(|who| pages.current(who).is_none()),
                Victim::Broker | Victim::One | Victim::Two => said(pages) > before + 100,
            });
        }
        victim.again(&mut cluster);
        diary.wait_until_everybody_talks(&format!("everybody talks after {victim:?} was killed and begun again, round {round}"));
        println!("round {round}: {victim:?} killed, all well again after {:?}", began.elapsed());
    }
    people.hush();
    let check = diary.wait_until_all_is_heard();
    let pages = diary.read();
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
    let people = People::talk(&cluster.haproxy.address(), &diary);
    diary.wait_until_everybody_talks("everybody comes and talks");
    if !cluster.two.freeze() {
        return;
    }
    diary.wait_until_everybody_talks("everybody talks on the process that does not hang");
    assert!(cluster.two.thaw());
    diary.wait_until_everybody_talks("everybody talks when it goes on");
    people.hush();
    diary.wait_until_all_is_heard();
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
