//! Partitions during transfers, and hosts that crash and come back.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation};
use torsade_hyper::Client;

use crate::conversations::{ORIGIN, Version, Way, ask_client, ask1, ask2, connect1, connect2, serve};
use crate::service::{Failed, Shape, Wanted};
use crate::{CLIENT, SECOND, SERVER, assert_nothing_is_left, play};

const SEEDS: u64 = 6;
const MEGABYTES: Wanted = Wanted { up: Shape::of(2 << 20), down: Shape::of(2 << 20), patience: None };
/// A network on which these transfers take some seconds.
fn slow() -> Faults {
    Faults { bandwidth: Some(500_000), ..Faults::calm() }
}

type Outcome = Rc<RefCell<Option<Result<(), Failed>>>>;

/// Requests `wanted` in one of three ways, which the seed chooses.
fn begin(simulation: &Simulation, wanted: Wanted) -> Outcome {
    let (host, outcome) = (simulation.host(CLIENT), Outcome::default());
    let (reactor, told) = (host.reactor().clone(), Rc::clone(&outcome));
    let way = simulation.seed() % 3;
    host.spawn(async move {
        let asking = async {
            match way {
                0 => ask1(&reactor, &mut connect1(&reactor).await?, wanted).await,
                1 => ask2(&reactor, connect2(&reactor).await?, wanted).await,
                _ => ask_client(&reactor, &Client::new(&reactor), ORIGIN, wanted).await,
            }
        };
        told.replace(Some(asking.await));
    });
    outcome
}

#[test]
fn a_partition_that_heals_in_time_harms_no_transfer() {
    play(&slow(), SEEDS, |simulation| {
        let port = serve(&simulation.host(SERVER), Way::Server(Version::One));
        let outcome = begin(simulation, MEGABYTES);
        for _ in 0..3 {
            // Long enough for what was held back to arrive.
            simulation.run_for(SECOND + Duration::from_millis(simulation.draw(1000))).unwrap();
            simulation.partition(SERVER, CLIENT);
            // No deadline has passed by then.
            simulation.run_for(Duration::from_millis(simulation.draw(25_000))).unwrap();
            simulation.heal(SERVER, CLIENT);
        }
        simulation.run_for(60 * SECOND).unwrap();
        outcome.take().expect("it has ended").unwrap();
        port.stop_listening();
        assert_nothing_is_left(simulation);
    });
}

#[test]
fn a_partition_that_stays_ends_the_transfer_at_both_ends() {
    play(&slow(), SEEDS, |simulation| {
        let server = simulation.host(SERVER);
        let port = serve(&server, Way::Server(Version::One));
        let outcome = begin(simulation, MEGABYTES);
        simulation.run_for(SECOND + Duration::from_millis(simulation.draw(2000))).unwrap();
        assert!(server.leftovers().sources.len() > 1, "the transfer is under way");
        simulation.partition(SERVER, CLIENT);
        // For HTTP/2 the stream ends first, then the connection as idle, after 30 s each plus some time to notice; then the close
        // is given up after 120 s.
        simulation.run_for(250 * SECOND).unwrap();
        assert_eq!(server.leftovers().sources.len(), 1, "the server has only its port: {}", server.leftovers());
        if simulation.seed() % 3 == 2 {
            outcome.borrow_mut().take().expect("`Client` has a deadline").unwrap_err();
        }
        simulation.heal(SERVER, CLIENT);
        simulation.run_for(60 * SECOND).unwrap();
        if simulation.seed() % 3 < 2 {
            outcome.take().expect("what arrives late is answered with a reset").unwrap_err();
        }
        port.stop_listening();
        assert_nothing_is_left(simulation);
    });
}

#[test]
fn a_server_that_is_killed_fails_its_requests_and_serves_again_once_it_is_back() {
    play(&slow(), SEEDS, |simulation| {
        serve(&simulation.host(SERVER), Way::Server(Version::One));
        let outcome = begin(simulation, MEGABYTES);
        simulation.run_for(SECOND + Duration::from_millis(simulation.draw(2000))).unwrap();
        simulation.host(SERVER).kill();
        simulation.run_for(5 * SECOND).unwrap();
        outcome.take().expect("the system of its host has reset the connection").unwrap_err();
        // While nothing listens, a client's connection is refused.
        let refused = begin(simulation, MEGABYTES);
        simulation.run_for(5 * SECOND).unwrap();
        refused.take().expect("it is refused").unwrap_err();
        let port = serve(&simulation.host(SERVER).restart(), Way::Server(Version::One));
        let outcome = begin(simulation, MEGABYTES);
        simulation.run_for(60 * SECOND).unwrap();
        outcome.take().expect("it has ended").unwrap();
        port.stop_listening();
        assert_nothing_is_left(simulation);
    });
}

#[test]
fn a_pool_goes_on_with_a_server_that_died_and_came_back_in_between() {
    for crashes in [false, true] {
        play(&Faults::calm(), SEEDS, |simulation| {
            serve(&simulation.host(SERVER), Way::Server(Version::One));
            let host = simulation.host(CLIENT);
            let (client, answered) = (Rc::new(Client::new(&host)), Rc::new(Cell::new(0)));
            let ask = |wanted| {
                let (reactor, client, answered) = (host.reactor().clone(), Rc::clone(&client), Rc::clone(&answered));
                host.spawn(async move {
                    if ask_client(&reactor, &client, ORIGIN, wanted).await.is_ok() {
                        answered.set(answered.get() + 1);
                    }
                });
            };
            let wanted = Wanted { up: Shape::of(0), down: Shape::of(10_000), patience: None };
            (0..3).for_each(|_| ask(wanted));
            simulation.run_for(5 * SECOND).unwrap();
            assert_eq!(answered.get(), 3);
            // Idle connections stay in the pool.
            let server = simulation.host(SERVER);
            if crashes {
                server.crash()
            } else {
                server.kill()
            }
            simulation.run_for(SECOND).unwrap();
            let port = serve(&server.restart(), Way::Server(Version::One));
            (0..3).for_each(|_| ask(wanted));
            simulation.run_for(100 * SECOND).unwrap();
            // If the server is killed, its system resets the connections. If it crashes, it does not, and a POST that may have
            // been served is not retried.
            assert_eq!(answered.get(), if crashes { 3 } else { 6 });
            ask(wanted);
            simulation.run_for(60 * SECOND).unwrap();
            assert_eq!(answered.get(), if crashes { 4 } else { 7 });
            port.stop_listening();
            drop(client);
            assert_nothing_is_left(simulation);
        });
    }
}
