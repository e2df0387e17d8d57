//! A simulated world: its hosts, their programs, and the network between them.

mod rounds;

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::backend::{Command, ProcessEnd, ProcessSignal, Signal};
use crate::event_log::{Event, Log};
use crate::panic::catch;
use crate::reactor::Reactor;
use crate::report::{drop_quietly, report_error};

use super::ending::Ending;
use super::faults::Faults;
use super::network::Network;
use super::process::{Descriptors, pid};
use super::program::{self, Main};
use super::queue::Happening;
use super::sockets::{HostBackend, SimulatedStream};

pub(super) use rounds::Ended;

/// The maximum number of turns of one run.
const TURN_LIMIT: u64 = 5_000_000;
/// The maximum simulated time to wait for a condition.
const TIME_LIMIT: Duration = Duration::from_secs(3600);

/// A host's reactor, and its name in the log.
struct Program {
    name: Rc<str>,
    reactor: Reactor,
    descriptors: Rc<Descriptors>,
    /// Its deadline in the calendar.
    planned: Option<Duration>,
}

/// Everything in a simulation.
pub(super) struct World {
    pub(super) network: RefCell<Network>,
    pub(super) turn_limit: Cell<u64>,
    pub(super) time_limit: Cell<Duration>,
    pub(super) log: Rc<RefCell<Log>>,
    pub(super) logging: Rc<Cell<bool>>,
    clock: Rc<Cell<Duration>>,
    programs: RefCell<Vec<Program>>,
    /// The programs that can be started as processes, by host and name.
    installed: RefCell<BTreeMap<(usize, OsString), Main>>,
    /// Programs to be started, by host.
    unstarted: RefCell<VecDeque<usize>>,
    running: Cell<bool>,
    ended: Cell<bool>,
    /// The turns of this run, and those at the current time.
    turns: Cell<u64>,
    turns_now: Cell<u64>,
    /// Set when real threads have called.
    pub(super) called: Arc<AtomicBool>,
    /// Deadlines of programs, each with its host. Some are out of date: see `next_deadline`.
    calendar: RefCell<BinaryHeap<Reverse<(Duration, usize)>>>,
    /// Kept for its allocation.
    runnable: RefCell<Vec<usize>>,
}

impl World {
    pub(super) fn new(seed: u64, faults: Faults) -> Rc<Self> {
        let clock = Rc::new(Cell::new(Duration::ZERO));
        let network = Network::new(Rc::clone(&clock), seed, faults);
        Self::with_network(clock, network)
    }

    /// A world of one host, whose time and peers a test controls.
    pub(super) fn scripted(has_network: bool) -> Rc<Self> {
        let clock = Rc::new(Cell::new(Duration::ZERO));
        let network = Network::scripted(Rc::clone(&clock), has_network);
        Self::with_network(clock, network)
    }

    fn with_network(clock: Rc<Cell<Duration>>, network: Network) -> Rc<Self> {
        Rc::new(Self {
            network: RefCell::new(network),
            turn_limit: Cell::new(TURN_LIMIT),
            time_limit: Cell::new(TIME_LIMIT),
            log: Rc::default(),
            logging: Rc::new(Cell::new(true)),
            clock,
            programs: RefCell::default(),
            installed: RefCell::default(),
            unstarted: RefCell::default(),
            running: Cell::new(false),
            ended: Cell::new(false),
            turns: Cell::new(0),
            turns_now: Cell::new(0),
            called: Arc::default(),
            calendar: RefCell::default(),
            runnable: RefCell::default(),
        })
    }

    pub(super) fn now(&self) -> Duration {
        self.clock.get()
    }

    /// Returns whether nothing is queued on this host, and nothing is due.
    pub(super) fn is_quiet(&self, host: usize) -> bool {
        let mut network = self.network.borrow_mut();
        !network.has_ready(host) && network.next_time().is_none_or(|time| time > self.now())
    }

    pub(super) fn is_scripted(&self) -> bool {
        self.network.borrow().script.is_some()
    }

    /// The place and reactor of the host with this address; made if it does not exist.
    pub(super) fn host(self: &Rc<Self>, ip: IpAddr) -> (usize, Reactor) {
        assert!(!self.ended.get(), "the simulation has ended: keep the value that Simulation::new returned");
        let known = self.network.borrow().find_host(ip);
        if let Some((place, reactor)) = known.and_then(|place| Some((place, self.reactor(place)?))) {
            return (place, reactor);
        }
        let place = self.network.borrow_mut().add_host(ip);
        let name: Rc<str> = ip.to_string().into();
        (place, self.install(place, name, Rc::default()))
    }

    /// Installs a new program at a new place.
    fn install(self: &Rc<Self>, place: usize, name: Rc<str>, descriptors: Rc<Descriptors>) -> Reactor {
        let reactor = self.new_program(place, &name, Rc::clone(&descriptors));
        self.programs.borrow_mut().push(Program { name, reactor: reactor.clone(), descriptors, planned: None });
        reactor
    }

    /// Adds a program that does nothing to the host of `place`, and returns its place.
    pub(super) fn add_idle_program(self: &Rc<Self>, place: usize, name: &str) -> usize {
        let machine = self.network.borrow().machine(place);
        let own = self.network.borrow_mut().add_place(machine);
        self.install(own, format!("{}/{name}", self.name(machine)).into(), Rc::default());
        own
    }

    pub(super) fn give_standard_streams(&self, place: usize, input: SimulatedStream, output: SimulatedStream) {
        let descriptors = self.programs.borrow().get(place).map(|program| Rc::clone(&program.descriptors));
        let Some(descriptors) = descriptors else { return };
        let before = [(0, input), (1, output)].map(|(number, stream)| descriptors.borrow_mut().insert(number, Rc::new(stream)));
        // Outside the borrow of the network, because it closes what it replaces.
        drop(before);
    }

    /// Sends a program a signal, with its default action if the program does not handle it.
    pub(super) fn signal(self: &Rc<Self>, place: usize, signal: ProcessSignal) {
        let known = Signal::ALL.into_iter().find(|known| ProcessSignal::from(*known) == signal);
        if known.is_some_and(|known| self.network.borrow_mut().signal(place, known)) {
            return;
        }
        if !matches!(known, Some(Signal::Child | Signal::WindowChange)) {
            self.end_program(place, Ending::Killed(signal));
        }
    }

    fn new_program(self: &Rc<Self>, place: usize, name: &Rc<str>, descriptors: Rc<Descriptors>) -> Reactor {
        let reactor = Reactor::with_backend(Rc::new(HostBackend::new(Rc::clone(self), place, descriptors)));
        let (log, logging, host) = (Rc::clone(&self.log), Rc::clone(&self.logging), Rc::clone(name));
        reactor.set_recorder(move |event: &Event| {
            if logging.get() {
                log.borrow_mut().push(&host, event.clone());
            }
        });
        self.unstarted.borrow_mut().push_back(place);
        reactor
    }

    /// Ends a host's program from outside, so that none of its callbacks is called: at once, or after its current turn.
    pub(super) fn end_program(self: &Rc<Self>, host: usize, ending: Ending) {
        let Some(reactor) = self.reactor(host) else { return };
        if reactor.is_in_turn() {
            let world = Rc::clone(self);
            let end = Happening::Call(Box::new(move || world.end_program(host, ending)));
            self.network.borrow_mut().queue.push(self.now(), end);
            return;
        }
        let off = matches!(ending, Ending::PowerFailed);
        if off {
            let processes = self.network.borrow().processes_on(host);
            processes.into_iter().for_each(|process| self.end_program(process, ending));
        }
        if !reactor.has_stopped() {
            reactor.observe(|| ending.event());
        }
        // First, so that what the program drops does not reach its peers.
        self.network.borrow_mut().end_program(host, off);
        self.network.borrow_mut().record_end(host, ending.as_process_end());
        reactor.discard();
    }

    pub(super) fn add_program(&self, host: usize, name: &OsStr, main: Main) {
        let replaced = self.installed.borrow_mut().insert((host, name.to_owned()), main);
        drop(replaced);
    }

    /// The program with this name on the host of `place`.
    pub(super) fn program_named(&self, place: usize, name: &OsStr) -> Option<Main> {
        let machine = self.network.borrow().machine(place);
        self.installed.borrow().get(&(machine, name.to_owned())).cloned()
    }

    /// Starts the process at this place, which is the latest, in the next round.
    pub(super) fn begin_process(self: &Rc<Self>, place: usize, command: &Command, descriptors: Descriptors, main: Main) {
        let descriptors = Rc::new(descriptors);
        let host = self.name(self.network.borrow().machine(place));
        let name: Rc<str> = format!("{host}/{}.{}", command.get_program().to_string_lossy(), pid(place)).into();
        let reactor = self.install(place, Rc::clone(&name), Rc::clone(&descriptors));
        let program = program::Program::new(Rc::clone(self), place, reactor.clone(), command.clone(), descriptors);
        reactor.call_when_running(move || match catch(|| main(&program)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                report_error("program", format_args!("{name} failed: {error}"));
                program.exit(1);
            }
            Err(panic) => {
                report_error("program", format_args!("{name} {panic}"));
                program.exit(101);
            }
        });
        self.network.borrow_mut().stir(place);
    }

    /// A program ends because it has stopped its reactor.
    fn record_stop(&self, place: usize, reactor: &Reactor) {
        if reactor.has_stopped() && !self.network.borrow().has_ended(place) {
            let mut network = self.network.borrow_mut();
            network.end_program(place, false);
            network.record_end(place, ProcessEnd::Exited(0));
        }
    }

    pub(super) fn restart(self: &Rc<Self>, host: usize) -> Reactor {
        assert!(!self.ended.get(), "the simulation has ended: keep the value that Simulation::new returned");
        let ended = self.reactor(host).is_some_and(|reactor| reactor.has_stopped());
        assert!(ended, "the program of {} has not ended: stop, kill or crash it first", self.name(host));
        self.network.borrow_mut().begin_program(host);
        let name: Rc<str> = self.name(host).into();
        let descriptors = Rc::<Descriptors>::default();
        let reactor = self.new_program(host, &name, Rc::clone(&descriptors));
        let former =
            self.programs.borrow_mut().get_mut(host).map(|program| {
                std::mem::replace(program, Program { name, reactor: reactor.clone(), descriptors, planned: None })
            });
        // Outside the borrow, because it may be the last owner of what the program had.
        drop(former);
        reactor
    }

    fn reactor(&self, host: usize) -> Option<Reactor> {
        self.programs.borrow().get(host).map(|program| program.reactor.clone())
    }

    fn name(&self, host: usize) -> String {
        self.programs.borrow().get(host).map_or_else(String::new, |program| program.name.to_string())
    }

    /// The current state, for the report of a run that does not end.
    pub(super) fn report(&self) -> String {
        let mut text = format!("at {:?}:", self.now());
        for program in &*self.programs.borrow() {
            let (name, reactor) = (&program.name, &program.reactor);
            // Writing to a String cannot fail.
            let _ignored = write!(
                text,
                "\n  host {name}: {}, turn {}, {} sources, {} delayed calls, the next at {:?}",
                if reactor.is_running() { "running" } else { "not running" },
                reactor.turn_number(),
                reactor.source_count(),
                reactor.delayed_calls(),
                reactor.next_deadline()
            );
        }
        self.network.borrow().describe(&mut text);
        text
    }

    /// Ends all programs and drops everything that may hold this world.
    pub(super) fn end(&self) {
        self.logging.set(false);
        self.ended.set(true);
        for program in self.programs.take() {
            program.reactor.dismantle();
        }
        self.installed.take().into_values().for_each(|main| drop_quietly("a program", main));
        let left = self.network.borrow_mut().queue.clear();
        // Outside the borrow, because what a job holds may use the network when dropped.
        drop(left);
    }
}
