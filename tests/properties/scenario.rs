//! One scenario: drawn from the seed, played, ended, and judged.

use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation, SimulationError};

use super::action::draw_weights;
use super::actor::Actor;
use super::caller::Caller;
use super::chance::Chance;
use super::plan::Plan;
use super::rest::Watch;
use super::side::Side;
use super::world::World;

const SERVER: &str = "10.0.0.1";
const CLIENT: &str = "10.0.0.2";

pub struct Scenario<'a> {
    simulation: &'a Simulation,
    chance: Chance,
    world: Rc<World>,
    ports: Vec<Port>,
    watch: Watch,
}

/// Plays the scenario of the simulation's seed.
pub fn play(simulation: &Simulation) -> Result<(), String> {
    let mut scenario = Scenario::draw(simulation).map_err(|error| error.to_string())?;
    let result = scenario.run().map_err(|error| error.to_string());
    let verdict = scenario.world.verdict().and(result);
    if verdict.is_err() && !simulation.log().is_empty() {
        eprintln!("{}\n{}", simulation.log(), simulation.report());
    }
    // Sides and world own each other.
    scenario.world.sides.take();
    verdict
}

impl<'a> Scenario<'a> {
    fn draw(simulation: &'a Simulation) -> Result<Self> {
        let mut chance = Chance::new(simulation.seed(), 1);
        simulation.set_logging(std::env::var_os("TORSADE_SEED").is_some());
        simulation.set_turn_limit(300_000);
        // Each phase has its own limit.
        simulation.set_time_limit(Duration::MAX);
        let loopback = chance.one_in(8);
        let hosts = if loopback { vec![SERVER] } else { vec![CLIENT, SERVER] };
        let reactors = hosts.iter().map(|ip| simulation.host(ip).reactor().clone()).collect();
        let mut faults = simulation.faults();
        let big = chance.one_in(16);
        if big {
            faults = Faults { segment: 512..=65_536, receive_buffer: 4096..=131_072, send_buffer: 4096..=131_072, ..faults };
            simulation.set_faults(faults.clone());
        }
        let actions = 10 + chance.size(100) as u32;
        let weights = draw_weights(&mut chance);
        let write_size = if big { 100_000 } else { 1 << (5 + chance.below(7)) };
        let world = World::new(reactors, &faults, actions, write_size, weights);
        let mut scenario = Self { simulation, chance, world, ports: Vec::new(), watch: Watch::new(simulation) };
        for pair in 0..1 + scenario.chance.size(3) as usize {
            scenario.add_pair(pair)?;
        }
        Ok(scenario)
    }

    /// Adds a port, and a client that connects to it.
    fn add_pair(&mut self, pair: usize) -> Result<()> {
        let (seed, last) = (self.simulation.seed(), self.world.homes.len() - 1);
        let (there, back) = (Plan::draw(&mut self.chance), Plan::draw(&mut self.chance));
        let client = Side::new(&self.world, 2 * pair, 0, seed, (there.clone(), back.clone()));
        let server = Side::new(&self.world, 2 * pair + 1, last, seed, (back, there));
        self.world.sides.borrow_mut().extend([client, server].map(|side| Rc::new(side.into())));
        let address = format!("{SERVER}:{}", 7000 + pair);
        #[cfg(feature = "tls")]
        if super::tls::is_drawn(seed, pair) {
            for number in [2 * pair, 2 * pair + 1] {
                self.world.side(number).borrow_mut().tls = true;
            }
            let caller = Caller::new(&self.world, &self.world.side(2 * pair));
            self.ports.push(super::tls::connect(&self.world, seed, pair, &address, caller)?);
            return Ok(());
        }
        let mut server = Some(self.world.side(2 * pair + 1));
        let server = move |_peer: Address| server.take().map(|side| Actor::new(&side));
        let caller = Caller::new(&self.world, &self.world.side(2 * pair));
        let [near, far] = [0, last].map(|home| &self.world.homes[home].reactor);
        if last == 0 && self.chance.one_in(2) {
            // Within one machine it may also be a UNIX socket.
            for number in [2 * pair, 2 * pair + 1] {
                self.world.side(number).borrow_mut().unix = true;
            }
            let path = format!("/run/{pair}.sock");
            self.ports.push(far.listen_unix(&*path, server)?);
            near.connect_unix(path, caller)?;
        } else {
            self.ports.push(far.listen_tcp(&*address, server)?);
            near.connect_tcp(&*address, caller)?;
        }
        Ok(())
    }

    fn run(&mut self) -> Result<(), SimulationError> {
        for phase in [Self::act, Self::settle, Self::end] {
            phase(self)?;
            if self.world.has_problem() {
                return Ok(());
            }
        }
        self.world.check_end(&self.simulation.faults());
        if self.world.has_problem() {
            return Ok(());
        }
        self.simulation.run_until_idle()?;
        if self.simulation.connections() > 0 {
            self.world.complain(format!("connections are left {}", self.simulation.report()));
        }
        Ok(())
    }

    /// Runs until `done`, for at most `time`, or until something is wrong.
    fn run_until(&self, time: Duration, done: impl Fn() -> bool) -> Result<(), SimulationError> {
        let until = self.simulation.now() + time;
        let ended = || self.watch.look(&self.world) || done() || self.simulation.now() >= until;
        match self.simulation.run_until(ended) {
            Err(SimulationError::Idle { .. }) => self.simulation.run_for(until.saturating_sub(self.simulation.now()))?,
            result => result?,
        }
        // A last check, before anything else is done.
        self.watch.look(&self.world);
        Ok(())
    }

    /// Lets the programs act for some time, with partitions.
    fn act(&mut self) -> Result<(), SimulationError> {
        let until = Duration::from_millis(200) + self.chance.wait(Duration::from_secs(40));
        let parts = self.world.homes.len() > 1 && self.chance.one_in(4);
        while self.simulation.now() < until && !self.world.has_problem() {
            let wait = Duration::from_millis(1) + self.chance.wait(Duration::from_secs(20));
            self.run_until(wait, || false)?;
            if parts {
                self.world.partitions.set(self.world.partitions.get() + 1);
                self.simulation.partition(CLIENT, SERVER);
                let wait = self.chance.wait(Duration::from_secs(40));
                self.run_until(wait, || false)?;
                self.simulation.heal(CLIENT, SERVER);
            }
        }
        Ok(())
    }

    /// Lets the programs finish what they have begun: everything written has to arrive.
    fn settle(&mut self) -> Result<(), SimulationError> {
        self.world.passive.set(true);
        let reads_on = self.chance.one_in(2);
        for side in &*self.world.sides.borrow() {
            self.world.next_tick();
            let side = &mut *side.borrow_mut();
            side.resume();
            if side.producer.as_ref().is_some_and(|produced| !produced.streaming) {
                side.unregister_producer();
            }
            if let Some(transport) = side.transport.as_ref().filter(|_| reads_on) {
                transport.set_read_while_congested(true);
                side.read_while_congested = true;
            }
        }
        self.run_until(self.patience(), || self.world.has_arrived())?;
        if self.simulation.faults().stuck == 0.0 {
            self.world.check_arrived();
        }
        Ok(())
    }

    /// Time enough for every byte that was written to arrive on its own.
    fn patience(&self) -> Duration {
        let wire: u64 = self.world.sides.borrow().iter().map(|side| side.borrow().on_the_wire()).sum();
        Duration::from_secs(400) + self.world.byte_time.mul_f64(wire as f64)
    }

    /// Ends every connection in some way, and waits for that.
    fn end(&mut self) -> Result<(), SimulationError> {
        self.world.ending.set(true);
        self.ports.iter().for_each(Port::stop_listening);
        for home in &self.world.homes {
            if self.chance.one_in(8) && home.reactor.stop().is_ok() {
                home.stopping.set(true);
            }
        }
        for number in 0..self.world.sides.borrow().len() {
            let wait = self.chance.wait(Duration::from_secs(5));
            let abort = self.chance.one_in(6);
            let (world, home) = (Rc::clone(&self.world), self.world.side(number).borrow().home);
            self.world.later(home, wait, move || world.side(number).borrow_mut().finish(abort));
        }
        self.run_until(self.patience() + self.patience(), || self.world.is_over())?;
        if !self.world.is_over() && !self.world.has_problem() {
            self.world.complain(format!("it does not end {}", self.simulation.report()));
        }
        Ok(())
    }
}
