//! Look-ups of host names: outside the thread pool, shared, limited, and dropped when nobody waits for them.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::net::UdpSocket;
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::support::*;
use torsade::prelude::*;
use torsade::simulated::{Faults, Host, Simulation};
use torsade::{PortForward, TooManyLookUps};

/// The most names that are looked up at a time.
const UNDER_WAY: usize = 32;
/// The most names that wait.
const WAITING: usize = 1024;

/// How long a look-up takes in these simulations.
const LOOK_UP: Duration = Duration::from_secs(1);

fn simulation() -> (Simulation, Host) {
    let simulation = Simulation::with_faults(1, Faults { lookup: LOOK_UP..=LOOK_UP, ..Faults::calm() });
    let host = simulation.host("10.0.0.1");
    (simulation, host)
}

/// When each caller got its answer, in seconds.
type Told = Rc<RefCell<Vec<(String, u64)>>>;

fn ask(host: &Host, name: &str, told: &Told) -> Deferred<()> {
    let (told, reactor, known) = (told.clone(), host.reactor().clone(), name.to_owned());
    host.resolve(name).add_both(move |result| {
        if !result.is_err_and(|failure| failure.is_cancelled()) {
            told.borrow_mut().push((known, reactor.backend().now().as_secs()));
        }
        Ok(())
    })
}

fn ask_for(host: &Host, names: impl IntoIterator<Item = usize>, told: &Told) -> Vec<Deferred<()>> {
    names.into_iter().map(|name| ask(host, &format!("host{name}.test"), told)).collect()
}

fn cancel_all(asked: &[Deferred<()>]) {
    asked.iter().for_each(Deferred::cancel);
}

#[test]
fn a_name_is_looked_up_while_jobs_block_every_thread_of_the_pool() {
    let reactor = Reactor::new().unwrap();
    let server = reactor.listen_tcp("127.0.0.1:0", |_peer| Echo).unwrap();
    let released = Arc::new((Mutex::new(false), Condvar::new()));
    for _ in 0..20 {
        let released = released.clone();
        let blocks = move || {
            let (flag, changed) = &*released;
            drop(changed.wait_while(flag.lock().unwrap(), |released| !*released).unwrap());
            Ok(())
        };
        reactor.defer_to_thread(blocks).detach();
    }
    let events = Events::default();
    let there = events.clone();
    let script = move |event: &Event, transport: &Transport| {
        if matches!(event, Event::Made) {
            *released.0.lock().unwrap() = true;
            released.1.notify_all();
            stop(transport.reactor());
        }
        Ok(())
    };
    let mut probe = Some(Probe::new(&there, script));
    reactor.connect_tcp(("localhost", address(&server).port()), move |_peer| probe.take()).unwrap();
    run(&reactor);
    assert_eq!(events.count("made"), 1);
}

#[test]
fn those_who_ask_for_the_same_name_share_one_look_up() {
    let (simulation, host) = simulation();
    simulation.add_name("host0.test", "10.0.0.9");
    let asked: Vec<_> = (0..20_000).map(|_| host.resolve("host0.test")).collect();
    assert_eq!(host.leftovers().jobs, 1);
    // Another name waits for no free place, and a later caller gets the answer with the others.
    let told = Told::default();
    ask(&host, "host1.test", &told).detach();
    let (again, later) = (host.clone(), told.clone());
    host.call_later(LOOK_UP / 2, move || ask(&again, "host0.test", &later).detach());
    simulation.run_until_idle().unwrap();
    let found: Vec<_> = asked.into_iter().map(|addresses| addresses.into_result().unwrap().unwrap()).collect();
    assert!(found.iter().all(|addresses| *addresses == ["10.0.0.9:0".parse().unwrap()]));
    assert_eq!(*told.borrow(), [("host0.test".into(), 1), ("host1.test".into(), 1)]);
}

#[test]
fn an_error_is_reported_to_all_who_asked() {
    let (simulation, host) = simulation();
    let asked = [(); 3].map(|()| host.resolve("nobody.test"));
    simulation.run_until_idle().unwrap();
    for addresses in asked {
        let failure = addresses.into_result().unwrap().unwrap_err();
        assert!(failure.check::<io::Error>() && failure.to_string().contains("not known"), "{failure}");
    }
}

#[test]
fn a_limited_number_of_names_is_looked_up_at_a_time_and_the_others_in_the_order_of_their_requests() {
    let (simulation, host) = simulation();
    let told = Told::default();
    let asked = ask_for(&host, 0..2 * UNDER_WAY + 1, &told);
    simulation.run_until_idle().unwrap();
    let expected: Vec<_> = (0..asked.len()).map(|name| (format!("host{name}.test"), 1 + (name / UNDER_WAY) as u64)).collect();
    assert_eq!(*told.borrow(), expected);
}

#[test]
fn a_name_that_nobody_waits_for_any_more_is_not_looked_up_and_reports_to_nobody() {
    let (simulation, host) = simulation();
    let told = Told::default();
    let (under_way, waiting) = (ask_for(&host, 0..UNDER_WAY, &told), ask_for(&host, 100..100 + WAITING, &told));
    let still = ask_for(&host, [100], &told);
    let another = host.resolve("another.test");
    assert!(another.into_result().unwrap().unwrap_err().check::<TooManyLookUps>());
    cancel_all(&under_way);
    cancel_all(&waiting);
    assert_eq!(host.leftovers().jobs, 1, "the one that another asked for as well");
    let next = ask_for(&host, [200], &told);
    simulation.run_until_idle().unwrap();
    assert_eq!(*told.borrow(), [("host100.test".into(), 2), ("host200.test".into(), 2)]);
    drop((still, next));
    host.assert_clean();
}

#[test]
fn whoever_gets_an_answer_may_cancel_the_look_ups_of_the_others_or_ask_again() {
    let (simulation, host) = simulation();
    let (told, others): (Told, Rc<RefCell<Vec<Deferred<()>>>>) = Default::default();
    let (reactor, there, kept) = (host.clone(), told.clone(), others.clone());
    let first = host.resolve("host0.test").add_both(move |_| {
        cancel_all(&kept.take());
        ask(&reactor, "host0.test", &there).detach();
        Ok(())
    });
    first.detach();
    others.borrow_mut().extend(ask_for(&host, [0, 0, 0], &told));
    simulation.run_until_idle().unwrap();
    assert_eq!(*told.borrow(), [("host0.test".into(), 2)], "by a look-up of its own");
}

#[test]
fn an_attempt_by_name_beyond_the_limit_fails_with_an_error_that_names_it() {
    let (simulation, host) = simulation();
    let asked = ask_for(&host, 0..UNDER_WAY + WAITING, &Told::default());
    let failed: Rc<RefCell<Vec<String>>> = Rc::default();
    struct Client(Rc<RefCell<Vec<String>>>);
    impl Factory for Client {
        fn build_protocol(&mut self, _peer: &Address) -> Option<Box<dyn Protocol>> {
            None
        }
    }
    impl ClientFactory for Client {
        fn client_connection_failed(&mut self, _: &Connector, reason: &ConnectError) -> Result {
            assert!(matches!(reason, ConnectError::TooManyLookUps { .. }));
            self.0.borrow_mut().push(reason.to_string());
            Ok(())
        }
    }
    host.connect_tcp("one.more.test:80", Client(failed.clone())).unwrap();
    simulation.run_for(LOOK_UP / 2).unwrap();
    assert!(failed.borrow().len() == 1 && failed.borrow()[0].contains("\"one.more.test\""), "{failed:?}");
    drop(asked);
}

#[test]
fn peers_of_a_forwarder_that_come_and_go_leave_no_look_up_behind() {
    let hour = Duration::from_secs(3600);
    let simulation = Simulation::with_faults(1, Faults { lookup: hour..=hour, ..Faults::calm() });
    let host = simulation.host("10.0.0.1");
    let made = Rc::new(Cell::new(0));
    let count = made.clone();
    let forward = PortForward::new(move |reactor, client| {
        count.set(count.get() + 1);
        // A new name for each connection, none of which is ever resolved.
        reactor.connect_tcp(format!("host{}.test:80", count.get()).as_str(), client)
    });
    host.listen_tcp("10.0.0.1:80", forward).unwrap();
    let peers = simulation.host("10.0.0.2");
    for _ in 0..2_000 {
        let leave = |event: &Event, transport: &Transport| {
            if matches!(event, Event::Made) {
                let leaving = transport.clone();
                transport.reactor().call_later(Duration::from_millis(20), move || leaving.abort_connection());
            }
            Ok(())
        };
        peers.connect_tcp("10.0.0.1:80", move |_peer| Probe::new(&Events::default(), leave)).unwrap();
        simulation.run_for(Duration::from_millis(50)).unwrap();
    }
    assert_eq!(made.get(), 2_000, "each started an attempt");
    assert_eq!(host.leftovers().jobs, 0, "nobody waits for any of them");
    assert_eq!(host.source_count(), 1, "the port");
}

#[test]
fn a_process_with_look_ups_that_nobody_answers_looks_up_others_and_exits() {
    const NAME: &str = "names::a_process_with_look_ups_that_nobody_answers_looks_up_others_and_exits";
    if is_child(NAME) {
        // Never answers.
        let silent = UdpSocket::bind("127.0.0.1:53").unwrap();
        let reactor = Reactor::new().unwrap();
        let stopper = reactor.clone();
        let hanging: Vec<_> = (0..UNDER_WAY - 1).map(|name| reactor.resolve(&format!("host{name}.test"))).collect();
        let local = reactor.resolve("localhost").add_callback(move |found| {
            assert!(found.iter().all(|address| address.ip().is_loopback()));
            stop(&stopper);
            Ok(())
        });
        run(&reactor);
        println!("\nlooked up {} others", hanging.len());
        std::io::stdout().flush().unwrap();
        drop((local, silent));
        return;
    }
    let server = "file=$(mktemp) && echo nameserver 127.0.0.1 > $file && mount --bind $file /etc/resolv.conf && rm $file";
    let Ok(output) = child_in_own_network(NAME, server, &[]).output() else {
        return println!("skipped: there is no unshare command");
    };
    let printed = String::from_utf8_lossy(&output.stdout);
    if !printed.contains("running 1 test") {
        return println!("skipped: no network of its own, {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(printed.contains("looked up 31 others") && output.status.success(), "{printed}");
}
