//! Programs on delayed calls and looping calls. Times are in eighths of a second.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use torsade::{Clock, Deferred, DelayedCall, Firer, LoopingCall, TimerError};

use crate::json::Json;

const EIGHTH: Duration = Duration::from_millis(125);

#[derive(Clone)]
struct Program(Rc<State>);

struct State {
    clock: Clock,
    events: RefCell<Vec<String>>,
    calls: RefCell<BTreeMap<usize, DelayedCall>>,
    loops: RefCell<Vec<LoopingCall>>,
    /// What each loop does when run, and how often it has run.
    actions: RefCell<Vec<(Vec<Json>, usize)>>,
    waiting: RefCell<BTreeMap<usize, Firer<()>>>,
}

/// Runs a program and returns its events, in the format of the vectors.
pub fn play(config: &Json, steps: &[Json]) -> String {
    let actions = config.get("actions").unwrap().list().iter().map(|actions| (actions.list().to_vec(), 0)).collect();
    let program = Program(Rc::new(State {
        clock: Clock::new(),
        events: RefCell::default(),
        calls: RefCell::default(),
        loops: RefCell::default(),
        actions: RefCell::new(actions),
        waiting: RefCell::default(),
    }));
    for (number, counting) in config.get("counting").unwrap().list().iter().enumerate() {
        let looped = program.clone();
        let reactor = program.0.clock.reactor();
        let made = if counting.is_true() {
            LoopingCall::with_count(reactor, move |count| looped.looped(number, count))
        } else {
            LoopingCall::new(reactor, move || looped.looped(number, 1))
        };
        program.0.loops.borrow_mut().push(made);
    }
    for step in steps {
        match step.get("advance") {
            Some(seconds) => program.0.clock.advance(Duration::from_secs_f64(seconds.number().unwrap())),
            None => program.call(step.get("call").unwrap().text(), step.get("args").unwrap().list()),
        }
    }
    program.note(format!("\"left\",{}", program.0.clock.delayed_calls()));
    let events = program.0.events.borrow().join(",");
    // The loops and the program hold each other.
    let loops = program.0.loops.take();
    drop(loops);
    format!("[{events}]")
}

impl Program {
    fn note(&self, event: String) {
        self.0.events.borrow_mut().push(format!("[{event}]"));
    }

    fn now(&self) -> u128 {
        self.0.clock.now().as_millis() / EIGHTH.as_millis()
    }

    fn looped(&self, number: usize, count: u64) -> Deferred<()> {
        self.note(format!("\"looped\",{number},{},{count}", self.now()));
        let action = {
            let (actions, runs) = &mut self.0.actions.borrow_mut()[number];
            *runs += 1;
            actions[(*runs - 1) % actions.len()].text().to_owned()
        };
        match action.as_str() {
            "raise" => torsade::defer::fail(format!("loop {number}")),
            "wait" => {
                let (deferred, firer) = Deferred::new();
                self.0.waiting.borrow_mut().insert(number, firer);
                deferred
            }
            _ => torsade::defer::succeed(()),
        }
    }

    fn call(&self, what: &str, arguments: &[Json]) {
        let number = arguments[0].index();
        let eighths = |place: usize| EIGHTH * u32::try_from(arguments[place].index()).unwrap();
        match what {
            "later" => {
                let (program, actions) = (self.clone(), arguments[2].list().to_vec());
                let call = self.0.clock.call_later(eighths(1), move || program.made(number, &actions));
                self.0.calls.borrow_mut().insert(number, call);
            }
            "cancel" | "reset" | "delay" => {
                let result = match self.0.calls.borrow().get(&number) {
                    Some(call) if what == "cancel" => call.cancel(),
                    Some(call) if what == "reset" => call.reset(eighths(1)),
                    Some(call) => call.delay(eighths(1)),
                    None => Ok(()),
                };
                match result {
                    Ok(()) => {}
                    Err(TimerError::AlreadyCalled) => self.note(format!("\"already called\",{number}")),
                    Err(_) => self.note(format!("\"already cancelled\",{number}")),
                }
            }
            "answer" => {
                let waiting = self.0.waiting.borrow_mut().remove(&number);
                if let Some(waiting) = waiting {
                    waiting.callback(());
                }
            }
            _ => self.call_loop(what, number, arguments),
        }
    }

    fn made(&self, number: usize, actions: &[Json]) {
        self.note(format!("\"called\",{number},{}", self.now()));
        for action in actions {
            self.call(action.list()[0].text(), &action.list()[1..]);
        }
    }

    fn call_loop(&self, what: &str, number: usize, arguments: &[Json]) {
        let looping = self.0.loops.borrow()[number].clone();
        let waiting = self.0.waiting.borrow().contains_key(&number);
        if looping.is_running() == (what == "loop start") || waiting && what != "loop reset" {
            return;
        }
        match what {
            "loop start" => {
                let interval = EIGHTH * u32::try_from(arguments[1].index()).unwrap();
                let (ended, broken) = (self.clone(), self.clone());
                let told = looping.start(interval, arguments[2].is_true()).unwrap().add_callbacks(
                    move |()| ended.note(format!("\"ended\",{number}")),
                    move |failure| broken.note(format!("\"broken\",{number},\"{failure}\"")),
                );
                told.detach();
            }
            "loop stop" => looping.stop().unwrap(),
            _ => looping.reset().unwrap(),
        }
    }
}
