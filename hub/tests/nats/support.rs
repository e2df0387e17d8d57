//! Shared by the tests: a program on the loop, and subscribers that record what they get.

use std::rc::Rc;
use std::time::Duration;

use torsade::DeferredQueue;
use torsade::hub::{Gap, Hub, HubConfig, Message, PresenceChange, Subscriber};
use torsade::prelude::*;
use torsade::simulated::Simulation;

use crate::scripted_nats::ScriptedNats;

/// Longer than anything takes on a machine ten times slower.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a test on a reactor of its own.
pub fn run<F: Future<Output = Result> + 'static>(test: impl FnOnce(Reactor) -> F) {
    let reactor = Reactor::new().unwrap();
    let task = reactor.spawn(test(reactor.clone()));
    let (result, stopper) = (Rc::new(std::cell::RefCell::new(None)), reactor.clone());
    let told = Rc::clone(&result);
    let ended = task.into_deferred().add_both(move |outcome| {
        told.replace(Some(outcome.map_err(|failure| failure.to_string())));
        stopper.stop()?;
        Ok(())
    });
    ended.detach();
    reactor.run().unwrap();
    result.take().expect("it has ended").unwrap();
}

/// What a subscriber has got, one after another.
#[derive(Clone)]
pub struct Notes {
    queue: DeferredQueue<String>,
    reactor: Reactor,
}

impl Notes {
    pub fn new(reactor: &Reactor) -> Self {
        Self { queue: DeferredQueue::new(10_000, 1), reactor: reactor.clone() }
    }

    pub fn note(&self, text: impl Into<String>) {
        self.queue.put(text.into()).expect("there is room");
    }

    /// The next that it gets, or has got.
    pub async fn next(&self) -> Result<String> {
        Ok(self.queue.get().add_timeout(PATIENCE, &self.reactor).await?)
    }

    /// The next so many, with commas between them.
    pub async fn take(&self, count: usize) -> Result<String> {
        let mut all = Vec::new();
        for _ in 0..count {
            let next = self.next().await.map_err(|error| format!("after {all:?}: {error}"))?;
            all.push(next);
        }
        Ok(all.join(", "))
    }

    pub fn presence(&self) -> impl FnMut(&PresenceChange) + 'static + use<> {
        let notes = self.clone();
        move |change| match change {
            PresenceChange::Entered(name) => notes.note(format!("+{name}")),
            PresenceChange::Left(name) => notes.note(format!("-{name}")),
            other => notes.note(format!("{other:?}")),
        }
    }
}

impl Subscriber for Notes {
    fn message_received(&mut self, message: &Message) -> Result {
        let mut text = message.id().map_or_else(String::new, |id| format!("{id} "));
        text += &String::from_utf8_lossy(message.payload());
        for (name, value) in message.headers().iter().filter(|(name, _)| name != "Nats-Msg-Id") {
            text += &format!(" {name}={value}");
        }
        self.note(text);
        Ok(())
    }

    fn messages_missed(&mut self, gap: &Gap) -> Result {
        self.note(format!("({gap})"));
        Ok(())
    }
}

/// Waits, within patience, for something.
pub async fn soon<T>(reactor: &Reactor, deferred: Deferred<T>) -> Result<T> {
    Ok(deferred.add_timeout(PATIENCE, reactor).await?)
}

/// A scripted server and a hub on hosts of their own.
pub struct World {
    pub simulation: Simulation,
    pub server: ScriptedNats,
}

impl World {
    pub fn new() -> Self {
        let simulation = Simulation::new(1);
        Self { server: listening(&simulation), simulation }
    }

    /// In a simulation that has begun.
    pub fn on(simulation: &Simulation) -> Self {
        Self { server: listening(simulation), simulation: simulation.clone() }
    }

    /// A hub on the host with this last number, which keeps 5 messages of topics in `log`.
    pub fn hub(&self, host: u8) -> Hub {
        self.config().open(&self.simulation.host(&format!("10.0.0.{host}"))).unwrap()
    }

    pub fn config(&self) -> HubConfig {
        HubConfig::new("nats://10.0.0.9").unwrap().replay("log.>", 5).unwrap().presence_period(Duration::from_secs(6))
    }

    /// A subscriber's list.
    pub fn notes(&self) -> List {
        List::default()
    }

    pub fn until(&self, what: &str, condition: impl FnMut() -> bool) {
        self.simulation.run_until(condition).unwrap_or_else(|error| panic!("{what}: {error}"));
    }

    pub fn run(&self, seconds: u64) {
        self.simulation.run_for(Duration::from_secs(seconds)).unwrap();
    }

    /// The value of a Deferred, which has to come.
    pub fn value<T>(&self, deferred: Deferred<T>) -> T {
        self.result(deferred).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn result<T>(&self, deferred: Deferred<T>) -> Result<T, String> {
        let result = Rc::new(std::cell::RefCell::new(None));
        let told = Rc::clone(&result);
        deferred.add_both(move |outcome| drop(told.replace(Some(outcome.map_err(|failure| failure.to_string()))))).detach();
        self.until("a Deferred", || result.borrow().is_some());
        result.take().expect("it has fired")
    }
}

fn listening(simulation: &Simulation) -> ScriptedNats {
    let server = ScriptedNats::new();
    server.listen(&simulation.host("10.0.0.9"), "10.0.0.9:4222");
    server
}

/// What a subscriber has got.
#[derive(Clone, Default)]
pub struct List(Rc<std::cell::RefCell<Vec<String>>>);

impl List {
    /// Takes out what came so far, with commas between.
    pub fn take(&self) -> String {
        self.0.take().join(", ")
    }

    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    pub fn note(&self, text: String) {
        self.0.borrow_mut().push(text);
    }
}

impl Subscriber for List {
    fn message_received(&mut self, message: &Message) -> Result {
        let id = message.id().map_or_else(String::new, |id| format!("{id} "));
        self.note(format!("{id}{}", String::from_utf8_lossy(message.payload())));
        Ok(())
    }

    fn messages_missed(&mut self, gap: &Gap) -> Result {
        self.note(format!("({gap})"));
        Ok(())
    }
}
