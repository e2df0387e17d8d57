//! Random programs on `AsyncConnection`s: bytes, limits and ends as for protocols, and the same seed repeats.

use std::rc::Rc;
use std::time::Duration;

use torsade::event_log::Log;
use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation, SimulationError, simulate_with};

use super::async_echo::async_echo;
use super::async_end::End;
use super::chance::Chance;
use super::world::byte_time;

/// Seeds of each test, by default. Each is played twice.
const SEEDS: u64 = 60;
const SERVER: &str = "10.0.0.1";
const CLIENT: &str = "10.0.0.2";

fn play_all(faults: &Faults, draw: impl Fn(u64) -> Option<Faults>) {
    super::hush();
    simulate_with(faults, 0..SEEDS, |simulation| {
        let faults = draw(simulation.seed()).unwrap_or_else(|| faults.clone());
        let logs = [(); 2].map(|()| {
            let simulation = Simulation::with_faults(simulation.seed(), faults.clone());
            let played = play(&simulation).map(|()| simulation.log());
            if played.is_err() && std::env::var_os("TORSADE_SEED").is_some() {
                eprintln!("{}\n{}", simulation.log(), simulation.report());
            }
            played
        });
        let [one, other] = logs;
        if fingerprint(&one?) == fingerprint(&other?) { Ok(()) } else { Err("another log of the same seed".to_owned()) }
    });
}

fn fingerprint(log: &Log) -> u64 {
    torsade::event_log::fingerprint(log.to_string().as_bytes())
}

#[test]
fn async_programs_hold_on_a_calm_network() {
    play_all(&Faults::calm(), |_| None);
}

#[test]
fn async_programs_hold_on_a_lossy_network() {
    play_all(&Faults::lossy(), |_| None);
}

#[test]
fn async_programs_hold_on_a_hostile_network() {
    play_all(&Faults::hostile(), |_| None);
}

#[test]
fn async_programs_hold_on_networks_that_are_drawn() {
    play_all(&Faults::calm(), |seed| Some(super::draw_faults(&mut Chance::new(seed, 2))));
}

struct Scenario<'a> {
    simulation: &'a Simulation,
    chance: Chance,
    /// The client's end of the n-th connection at 2n, the server's at 2n + 1, if they were made.
    ends: Vec<Rc<End>>,
    tasks: Vec<Deferred<()>>,
    incoming: Vec<Port>,
}

fn play(simulation: &Simulation) -> Result<(), String> {
    simulation.set_turn_limit(1_000_000);
    let mut scenario = Scenario {
        simulation,
        chance: Chance::new(simulation.seed(), 7),
        ends: Vec::new(),
        tasks: Vec::new(),
        incoming: Vec::new(),
    };
    for pair in 0..1 + scenario.chance.size(3) {
        scenario.add_pair(pair).map_err(|error| error.to_string())?;
    }
    let ran = scenario.run().map_err(|error| error.to_string());
    scenario.check();
    let problems: Vec<String> = scenario.ends.iter().flat_map(|end| end.problems.take()).collect();
    if problems.is_empty() { ran } else { Err(problems.join("\n")) }
}

impl Scenario<'_> {
    fn add_pair(&mut self, pair: u64) -> Result<()> {
        let (seed, chance) = (self.simulation.seed(), &mut self.chance);
        let (server, client) = (self.simulation.host(SERVER), self.simulation.host(CLIENT));
        let address = format!("{SERVER}:{}", 7000 + pair);
        let (mut listening, mut connecting) = (ServerEndpoint::tcp(&*address)?, ClientEndpoint::tcp(&*address)?);
        let tls = cfg!(feature = "tls") && chance.one_in(4);
        #[cfg(feature = "tls")]
        if tls {
            listening = listening.tls(&super::keys::server());
            connecting = connecting.tls(&super::keys::client_builder().server_name("server.test").build()?);
        }
        let roomy = *self.simulation.faults().send_buffer.start() > 1000;
        let write_size = if chance.one_in(8) && roomy { 100_000 } else { 1 << (5 + chance.below(7)) };
        let streams = (10 + 2 * pair, 11 + 2 * pair);
        let compression = chance.one_in(3).then(|| super::plan::draw_compression(chance, false).announce(false));
        let sends = chance.one_in(2);
        let [sent, expected] = [sends, !sends].map(|sends| compression.clone().map(|compression| (compression, sends)));
        let here = End::new(&format!("client {pair}"), streams, client.reactor(), tls, sent);
        let there = End::new(&format!("server {pair}"), (streams.1, streams.0), server.reactor(), tls, expected);
        let mut incoming = server.listen_async(listening)?;
        self.incoming.push(incoming.port().clone());
        let end = Rc::clone(&here);
        self.tasks.push(
            client
                .spawn(async move {
                    match end.reactor.connect_async(connecting).await {
                        Ok(connection) => end.play(connection, seed, write_size).await,
                        Err(_) => end.failed.set(true),
                    }
                    Ok(())
                })
                .into_deferred(),
        );
        let end = Rc::clone(&there);
        self.tasks.push(
            server
                .spawn(async move {
                    if let Some(connection) = incoming.accept().await {
                        drop(incoming);
                        end.play(connection, seed, write_size).await;
                    }
                    Ok(())
                })
                .into_deferred(),
        );
        self.ends.extend([here, there]);
        Ok(())
    }

    fn run(&mut self) -> Result<(), SimulationError> {
        let faults = self.simulation.faults();
        if self.chance.one_in(4) {
            let wait = self.chance.wait(Duration::from_secs(20));
            self.simulation.run_for(wait)?;
            self.simulation.partition(CLIENT, SERVER);
            let wait = self.chance.wait(Duration::from_secs(40));
            self.simulation.run_for(wait)?;
            self.simulation.heal(CLIENT, SERVER);
        }
        // Longer than everything that they may sleep; a client that connected to nobody waits longer.
        self.simulation.run_for(Duration::from_secs(600))?;
        let bytes: u64 = self.ends.iter().map(|end| end.written.get()).sum();
        self.simulation.run_for(byte_time(&faults).mul_f64(bytes as f64))?;
        if faults.stuck == 0.0 {
            self.tell_who_waits();
        }
        for (end, task) in self.ends.iter().zip(&self.tasks) {
            task.cancel();
            end.let_go();
        }
        self.incoming.iter().for_each(Port::stop_listening);
        self.simulation.run_for(Duration::from_secs(3600))?;
        for (name, host) in [("the server", SERVER), ("the client", CLIENT)] {
            let leftovers = self.simulation.host(host).leftovers();
            if self.simulation.host(host).is_running() && !leftovers.is_clean() {
                self.ends[0].complain(format!("{name} has {leftovers}"));
            }
        }
        Ok(())
    }

    /// An hour after everything has ended, a task may only still wait for a peer that never came or whose program has stopped.
    fn tell_who_waits(&self) {
        for (number, task) in self.tasks.iter().enumerate() {
            let (end, peer) = (&self.ends[number], &self.ends[number ^ 1]);
            let excused = !end.connected() || !end.reactor.is_running() || !peer.reactor.is_running();
            if !task.is_called() && !excused {
                end.complain(format!("it still waits, with {} written and {} read", end.written.get(), end.read.get()));
            }
        }
    }

    fn check(&self) {
        let faults = self.simulation.faults();
        let peaceful = faults.reset == 0.0 && faults.stuck == 0.0 && faults.slow == 0.0 && faults.accept_aborted == 0.0;
        for (number, end) in self.ends.iter().enumerate() {
            let peer = &self.ends[number ^ 1];
            let (read, written) = (end.read.get(), peer.written.get());
            if read > written {
                end.complain(format!("it has read {read} bytes, and {written} were written"));
            }
            // A port without descriptors closes what it cannot accept; a reactor that stops closes its connections.
            let closes = peer.connected() && peer.reactor.is_running();
            if end.read_ended.get() && !peer.closed.get() && closes {
                end.complain("its peer's stream ended without being closed");
            }
            if end.read_ended.get() && read < written {
                end.complain(format!("the end came after {read} of {written} bytes"));
            }
            let stopped = !end.reactor.is_running() || !peer.reactor.is_running();
            let owed = peaceful
                && end.connected()
                && peer.closed.get()
                && !peer.aborted.get()
                && !end.aborted.get()
                && !end.reads_no_more.get();
            if owed && !stopped && !end.read_ended.get() {
                end.complain(format!("its peer has closed, and it has read {read} of {written} bytes"));
            }
        }
    }
}

/// How a client of an echo ended, and the echo's end of it. How much a single or a cancelled write takes depends on timing.
#[derive(Debug, PartialEq)]
struct Echoed {
    read_ended: bool,
    failed: bool,
    reason: Option<String>,
}

/// A random client of an echo server, which is either callbacks or `async` code.
fn echoed(simulation: &Simulation, in_async: bool) -> Result<Echoed, String> {
    let (server, client) = (simulation.host(SERVER), simulation.host(CLIENT));
    let address = format!("{SERVER}:7");
    if in_async {
        let mut incoming = server.listen_async(&*address).expect("a free port");
        let reactor = server.reactor().clone();
        server.spawn(async move {
            while let Some(connection) = incoming.accept().await {
                // It fails when its connection does.
                reactor.spawn(async_echo::<700>(connection)).into_deferred().add_errback(|_| ()).detach();
            }
        });
    } else {
        server.listen(&*address, |_peer| torsade::wire::Echo).expect("a free port");
    }
    let end = End::new("the client", (10, 10), client.reactor(), false, None);
    let (seed, playing) = (simulation.seed(), Rc::clone(&end));
    client.spawn(async move {
        let connection = playing.reactor.connect_async(&*address).await?;
        playing.play(connection, seed, 2000).await;
        Ok(())
    });
    simulation.run_for(Duration::from_secs(3600)).map_err(|error| error.to_string())?;
    let (written, read) = (end.written.get(), end.read.get());
    let whole = end.closed.get() && !end.aborted.get() && !end.reads_no_more.get() && client.is_running();
    if read > written || whole && !(end.read_ended.get() && read == written) {
        end.complain(format!("{read} of {written} bytes came back"));
    }
    let problems = end.problems.take();
    if !problems.is_empty() {
        return Err(problems.join("\n"));
    }
    let log = simulation.log().on(SERVER);
    let reason = log.entries().iter().find_map(|entry| entry.event.reason.as_ref().map(ToString::to_string));
    // A stop ends the program wherever it is.
    Ok(Echoed { read_ended: end.read_ended.get(), failed: end.failed.get() && client.is_running(), reason })
}

#[test]
fn random_clients_see_the_same_of_an_async_echo_and_of_one_of_callbacks() {
    super::hush();
    for faults in [Faults::calm(), Faults::lossy()] {
        simulate_with(&faults, 0..SEEDS, |simulation| {
            let [callbacks, in_async] =
                [false, true].map(|in_async| echoed(&Simulation::with_faults(simulation.seed(), faults.clone()), in_async));
            let (callbacks, in_async) = (callbacks?, in_async?);
            if callbacks == in_async { Ok(()) } else { Err(format!("of callbacks {callbacks:?}, in async code {in_async:?}")) }
        });
    }
}
