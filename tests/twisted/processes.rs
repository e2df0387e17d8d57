//! The callbacks of a process's protocol, against what real Twisted did, as recorded by `tests/twisted/record_process.py` with
//! the same child: `tests/twisted/child.sh`.
//!
//! To replay other vectors: `TORSADE_VECTORS=DIR cargo test --all-features --test twisted processes`.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::{ChildDescriptor, ProcessEnd, ProcessError, ProcessSignal};

use crate::json::Json;

/// Turns of the reactor after which everything under way at their beginning has arrived.
const TURNS: usize = 8;

/// What all parts of one replay share.
#[derive(Clone, Default)]
struct Shared {
    events: Rc<RefCell<Vec<Vec<Json>>>>,
    acknowledged: Rc<Cell<usize>>,
    exited: Rc<Cell<bool>>,
    ended: Rc<Cell<bool>>,
}

struct Child {
    shared: Shared,
    actions: Json,
}

impl Child {
    fn note(&self, process: &Process, event: Vec<Json>) -> Result {
        let name = event[0].text().to_owned();
        self.shared.events.borrow_mut().push(event);
        match self.actions.get(&name).map(Json::text) {
            Some("lose") => process.lose_connection(),
            Some("close_stdin") => process.close_stdin(),
            Some("signal") => self.shared.signal(process, ProcessSignal::KILL),
            Some("raise") => return Err("on purpose".into()),
            _ => {}
        }
        Ok(())
    }
}

impl Shared {
    fn signal(&self, process: &Process, signal: ProcessSignal) {
        match process.signal_process(signal) {
            Ok(()) => {}
            Err(ProcessError::ExitedAlready) => self.events.borrow_mut().push(vec!["exited_already".into()]),
            Err(error) => panic!("{error}"),
        }
    }
}

fn number(number: u32) -> Json {
    Json::Number(number.into())
}

fn end(name: &str, end: ProcessEnd) -> Vec<Json> {
    let number = |number: Option<i32>| number.map_or(Json::Null, |number| Json::Number(number.into()));
    vec![name.into(), number(end.code()), number(end.signal().map(ProcessSignal::number))]
}

impl ProcessProtocol for Child {
    fn connection_made(&mut self, process: &Process) -> Result {
        self.note(process, vec!["made".into()])
    }

    fn child_data_received(&mut self, process: &Process, descriptor: u32, data: &[u8]) -> Result {
        if descriptor == 6 {
            self.shared.acknowledged.set(self.shared.acknowledged.get() + data.len());
            return Ok(());
        }
        self.note(process, vec!["data".into(), number(descriptor), String::from_utf8_lossy(data).into_owned().into()])
    }

    fn child_connection_lost(&mut self, process: &Process, descriptor: u32) -> Result {
        if descriptor < 3 { self.note(process, vec!["lost".into(), number(descriptor)]) } else { Ok(()) }
    }

    fn process_exited(&mut self, process: &Process, how: ProcessEnd) -> Result {
        self.shared.exited.set(true);
        self.note(process, end("exited", how))
    }

    fn process_ended(&mut self, process: &Process, how: ProcessEnd) -> Result {
        self.shared.ended.set(true);
        self.note(process, end("ended", how))
    }
}

/// The events of one step: data in one piece, sorted, except for the end.
fn canonical(events: Vec<Vec<Json>>) -> Json {
    let (mut data, mut others) = (Vec::<(Json, String)>::new(), Vec::new());
    for event in events {
        if event[0].text() != "data" {
            assert!(
                others.last().is_none_or(|last: &Vec<Json>| last[0].text() != "ended") || event[0].text() == "exited_already"
            );
            others.push(event);
            continue;
        }
        assert!(!others.contains(&vec!["lost".into(), event[1].clone()]), "data after the loss");
        match data.iter_mut().find(|(descriptor, _)| *descriptor == event[1]) {
            Some((_, text)) => text.push_str(event[2].text()),
            None => data.push((event[1].clone(), event[2].text().to_owned())),
        }
    }
    others.extend(data.into_iter().map(|(descriptor, text)| vec!["data".into(), descriptor, text.into()]));
    let mut events: Vec<_> = others.into_iter().map(Json::List).collect();
    // As Python prints it, with its spaces.
    events.sort_by_key(|event| (event.list()[0].text() == "ended", event.to_string().replace(',', ", ")));
    Json::List(events)
}

async fn until(reactor: &Reactor, condition: impl Fn() -> bool) -> Result {
    while !condition() {
        reactor.sleep(Duration::ZERO).await?;
    }
    Ok(())
}

async fn play(reactor: Reactor, actions: Json, steps: Vec<Json>) -> Result<Vec<Json>> {
    let shared = Shared::default();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/twisted/child.sh");
    let command = Command::new("/bin/sh").arg(script).descriptor(5, ChildDescriptor::PipeToChild);
    let command = command.descriptor(6, ChildDescriptor::PipeFromChild).descriptor(7, ChildDescriptor::PipeToChild);
    let process = reactor.spawn_process(Child { shared: shared.clone(), actions }, command)?;
    let mut happened = Vec::new();
    finish(&reactor, &shared, &mut happened).await?;
    for step in steps {
        let (who, what) = (step.list()[0].text(), step.list()[1].text());
        let before = shared.acknowledged.get();
        match (who, what.split(' ').next().unwrap_or_default()) {
            ("child", "exit" | "kill" | "die") => {
                process.write_to_child(5, format!("{}\n", what.replace("die", "out x")));
                until(&reactor, || shared.exited.get()).await?;
            }
            ("daemon", "exit") if shared.exited.get() => {
                process.write_to_child(7, "exit 0\n");
                until(&reactor, || shared.ended.get()).await?;
            }
            ("daemon", "exit") => {
                process.write_to_child(7, "exit 0\n");
                process.write_to_child(5, "wait\n");
                until(&reactor, || shared.acknowledged.get() > before).await?;
            }
            ("child" | "daemon", _) => {
                process.write_to_child(if who == "child" { 5 } else { 7 }, format!("{what}\n"));
                until(&reactor, || shared.acknowledged.get() > before).await?;
            }
            (_, "write") => process.write(format!("{}\n", &what[6..])),
            (_, "lose") => process.lose_connection(),
            (_, "signal") => {
                let signals =
                    [("TERM", ProcessSignal::TERMINATE), ("KILL", ProcessSignal::KILL), ("INT", ProcessSignal::INTERRUPT)];
                let known = signals.iter().find(|(name, _)| *name == &what[7..]);
                shared.signal(&process, known.map_or(ProcessSignal::HANGUP, |(_, signal)| *signal));
                until(&reactor, || shared.exited.get()).await?;
            }
            _ => process.close_child(what["close".len()..].parse()?),
        }
        finish(&reactor, &shared, &mut happened).await?;
    }
    until(&reactor, || shared.ended.get()).await?;
    Ok(happened)
}

async fn finish(reactor: &Reactor, shared: &Shared, happened: &mut Vec<Json>) -> Result {
    for _ in 0..TURNS {
        reactor.sleep(Duration::ZERO).await?;
    }
    happened.push(canonical(shared.events.take()));
    Ok(())
}

/// The recorded vectors: those in the given directory, or our own.
fn vectors() -> String {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/twisted/process_vectors");
    let directory = std::env::var_os("TORSADE_VECTORS").map_or(own, Into::into);
    let mut text = String::new();
    let file = std::fs::File::open(directory.join("processes.jsonl.gz")).unwrap();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn processes_tell_their_protocol_what_twisteds_do_but_for_marked_deviations() {
    let text = vectors();
    let (mut steps_played, mut marked, mut divergences) = (0, BTreeMap::<String, usize>::new(), Vec::new());
    for line in text.lines() {
        let vector = Json::parse(line);
        let get = |key| vector.get(key).unwrap_or_else(|| panic!("a vector without {key}"));
        let deviation = vector.get("deviation");
        let expected = deviation.map_or(get("expect"), |deviation| deviation.get("expect").unwrap()).to_string();
        let actions = get("config").get("actions").unwrap().clone();
        let steps = get("steps").list().to_vec();
        steps_played += steps.len();
        let reactor = Reactor::new().unwrap();
        let happened = Json::List(reactor.run_until(play(reactor.clone(), actions, steps)).unwrap()).to_string();
        if happened != expected {
            divergences.push(format!("{line}\n  expected {expected}\n  happened {happened}"));
        }
        for reason in deviation.and_then(|deviation| deviation.get("reasons")).map_or(&[][..], Json::list) {
            *marked.entry(reason.text().to_owned()).or_default() += 1;
        }
    }
    println!("{} vectors of {steps_played} steps, {} divergences", text.lines().count(), divergences.len());
    marked.iter().for_each(|(reason, count)| println!("{count:5} times: {reason}"));
    divergences.iter().take(5).for_each(|divergence| println!("{divergence}"));
    assert!(divergences.is_empty(), "{} vectors diverge; the first are above", divergences.len());
    assert!(text.lines().count() >= 100, "vectors are missing");
}
