//! Programs on a handful of Deferreds.

use std::cell::RefCell;
use std::rc::Rc;

use torsade::{Deferred, DeferredHandle, Failure, Firer, Settled};

use crate::json::Json;

#[derive(Clone, Default)]
struct Program(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    events: Vec<String>,
    deferreds: Vec<Option<Deferred<i64>>>,
    handles: Vec<DeferredHandle>,
    firers: Vec<Option<Firer<i64>>>,
    given: Vec<bool>,
    /// Callbacks for a Deferred to which one is just being added.
    pending: Vec<Vec<Json>>,
}

/// Runs a program and returns its events, in the format of the vectors.
pub fn play(config: &Json, steps: &[Json]) -> String {
    let program = Program::default();
    for (number, canceller) in config.get("cancellers").unwrap().list().iter().enumerate() {
        program.make(number, canceller.text());
    }
    for step in steps {
        program.call(step.get("call").unwrap().text(), step.get("args").unwrap().list());
    }
    program.end();
    let events = program.0.borrow().events.join(",");
    // Whatever still waits holds the program.
    let rest = std::mem::take(&mut *program.0.borrow_mut());
    drop(rest);
    format!("[{events}]")
}

impl Program {
    fn note(&self, event: String) {
        self.0.borrow_mut().events.push(format!("[{event}]"));
    }

    fn make(&self, number: usize, canceller: &str) {
        let (program, what) = (self.clone(), canceller.to_owned());
        let called = move |firer: Firer<i64>| {
            program.note(format!("\"canceller\",{number}"));
            match what.as_str() {
                "fire" => firer.callback(1000 + i64::try_from(number).unwrap()),
                "fail" => firer.errback(format!("c{number}")),
                _ => {}
            }
        };
        let (deferred, firer) = if canceller == "none" { Deferred::new() } else { Deferred::with_canceller(called) };
        let mut state = self.0.borrow_mut();
        state.handles.push(deferred.handle());
        state.deferreds.push(Some(deferred));
        state.firers.push(Some(firer));
        state.given.push(false);
        state.pending.push(Vec::new());
    }

    fn call(&self, what: &str, arguments: &[Json]) {
        let number = arguments[0].index();
        match what {
            "add" if !self.0.borrow().given[number] => self.add(number, arguments),
            "fire" | "fail" => {
                let firer = self.0.borrow_mut().firers[number].take();
                match firer {
                    Some(firer) if what == "fire" => firer.callback(arguments[1].number().unwrap() as i64),
                    Some(firer) => firer.errback(format!("f{number}")),
                    None => self.note(format!("\"already called\",{number}")),
                }
            }
            "cancel" | "pause" | "unpause" => {
                let handle = self.0.borrow().handles[number].clone();
                match what {
                    "cancel" => handle.cancel(),
                    "pause" => handle.pause(),
                    _ => handle.unpause(),
                }
            }
            _ => {}
        }
    }

    fn add(&self, number: usize, arguments: &[Json]) {
        let deferred = self.0.borrow_mut().deferreds[number].take();
        let Some(deferred) = deferred else {
            self.0.borrow_mut().pending[number].push(Json::List(arguments.to_vec()));
            return;
        };
        let (program, name, action) = (self.clone(), arguments[2].text().to_owned(), arguments[3].list().to_vec());
        let run = move |result| program.callback(&name, &action, result);
        let added = match arguments[1].text() {
            "callback" => deferred.add_callback(move |value| settled(run(Ok(value)))),
            "errback" => deferred.add_errback(move |failure| settled(run(Err(failure)))),
            _ => deferred.add_both(move |result| settled(run(result))),
        };
        self.0.borrow_mut().deferreds[number] = Some(added);
        let pending = std::mem::take(&mut self.0.borrow_mut().pending[number]);
        pending.iter().for_each(|arguments| self.add(number, arguments.list()));
    }

    fn callback(&self, name: &str, action: &[Json], result: Result<i64, Failure>) -> Settled<i64> {
        if self.0.borrow().given.is_empty() {
            // The program is over, and the rest was abandoned.
            return Settled::Now(Ok(0));
        }
        match &result {
            Ok(value) => self.note(format!("\"callback\",\"{name}\",{value}")),
            Err(failure) => self.note(format!("\"errback\",\"{name}\",\"{}\"", kind(failure))),
        }
        match action[0].text() {
            "raise" => return Settled::Now(Err(Failure::new(name))),
            "wait" => {
                let number = action[1].index();
                let given = std::mem::replace(&mut self.0.borrow_mut().given[number], true);
                let inner = self.0.borrow_mut().deferreds[number].take();
                if let Some(inner) = inner.filter(|_| !given) {
                    return Settled::Later(inner);
                }
            }
            "pass" => {}
            what => self.call(what, &action[1..]),
        }
        Settled::Now(Ok(result.map_or(-1, |value| value + 1)))
    }

    fn end(&self) {
        let deferreds = std::mem::take(&mut self.0.borrow_mut().deferreds);
        for (number, deferred) in deferreds.into_iter().enumerate() {
            if self.0.borrow().given[number] {
                continue;
            }
            match deferred.map(Deferred::into_result) {
                Some(Ok(Ok(value))) => self.note(format!("\"result\",{number},{value}")),
                Some(Ok(Err(failure))) => self.note(format!("\"failed\",{number},\"{}\"", kind(&failure))),
                Some(Err(waiting)) => {
                    self.note(format!("\"no result\",{number}"));
                    self.0.borrow_mut().deferreds.push(Some(waiting));
                }
                None => panic!("number {number} is neither here nor given away"),
            }
        }
    }
}

fn kind(failure: &Failure) -> String {
    if failure.is_cancelled() { "cancelled".to_owned() } else { failure.to_string() }
}

/// A callback's result as a Deferred.
fn settled(result: Settled<i64>) -> Deferred<i64> {
    match result {
        Settled::Later(deferred) => deferred,
        Settled::Now(Ok(value)) => torsade::defer::succeed(value),
        Settled::Now(Err(failure)) => torsade::defer::fail(failure),
    }
}
