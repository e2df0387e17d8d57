//! What both suites use: a program on the loop, and subscribers that write down what they get.

use std::rc::Rc;
use std::time::Duration;

use torsade::DeferredQueue;
use torsade::hub::{Gap, Message, PresenceChange, Subscriber};
use torsade::prelude::*;

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
