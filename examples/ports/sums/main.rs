//! A client that asks several questions at once, by Deferreds, ported. The original is `original.py` beside it.
//!
//! Run:    cargo run --example port_sums [ENDPOINT]     (default 127.0.0.1:8131; start `nc -lC 127.0.0.1 8131` first)
//! Expect: three questions in the window of nc, answered by `2 ben` or `2 error`, in any order, and then another one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use torsade::prelude::*;
use torsade::{defer, react};

#[derive(Debug)]
struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

impl std::error::Error for Refused {}

#[derive(Default)]
struct State {
    transport: Option<LineTransport>,
    asked: u32,
    waiting: BTreeMap<Vec<u8>, Firer<Vec<u8>>>,
}

/// What asks: in the original the protocol itself, which belongs to its connection here.
#[derive(Clone, Default)]
struct Asker(Rc<RefCell<State>>);

impl Asker {
    fn ask(&self, question: &[u8]) -> Deferred<Vec<u8>> {
        let mut state = self.0.borrow_mut();
        state.asked += 1;
        let number = state.asked.to_string().into_bytes();
        if let Some(transport) = &state.transport {
            transport.send_line([&number[..], b" ", question].concat());
        }
        let (answer, firer) = Deferred::new();
        state.waiting.insert(number, firer);
        answer
    }

    fn end(&self, answer: &[u8]) {
        if let Some(transport) = &self.0.borrow().transport {
            transport.send_line([&b"so it is "[..], answer].concat());
            transport.lose_connection();
        }
    }
}

struct Answers {
    asker: Asker,
    lost: Option<Firer<()>>,
}

impl LineProtocol for Answers {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        self.asker.0.borrow_mut().transport = Some(transport.clone());
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        let space = line.iter().position(|byte| *byte == b' ');
        let (number, text) = space.map_or((line, &b""[..]), |at| (&line[..at], &line[at + 1..]));
        // A statement of its own: what is fired asks again, and borrows the state.
        let answer = self.asker.0.borrow_mut().waiting.remove(number);
        match answer {
            None => transport.send_line("nobody asked"),
            Some(firer) if text == b"error" => firer.errback(Refused),
            Some(firer) => firer.callback(text.to_vec()),
        }
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, reason: &Reason) -> Result {
        let State { waiting, .. } = self.asker.0.take();
        waiting.into_values().for_each(|firer| firer.errback(reason.clone()));
        self.lost.take().into_iter().for_each(|firer| firer.callback(()));
        Ok(())
    }
}

fn or_nothing(failure: Failure) -> Result<Vec<u8>> {
    Ok(failure.trap::<Refused>().map(|_| b"nothing".to_vec())?)
}

fn work(asker: Asker, lost: Deferred<()>) -> Deferred<()> {
    let names: Vec<_> = (0..3).map(|_| asker.ask(b"name").add_errback(or_nothing)).collect();
    let last = asker.clone();
    defer::gather_results(names)
        .add_callback(move |names| asker.ask(&[b"sum of ", &names.join(&b", "[..])[..]].concat()))
        .add_callback(move |answer| last.end(&answer))
        .add_callback(move |()| lost)
}

/// What `main` runs.
pub fn conversation(reactor: &Reactor, endpoint: &str) -> Deferred<()> {
    let asker = Asker::default();
    let (lost, firer) = Deferred::new();
    let answers = LineReceiver::new(Answers { asker: asker.clone(), lost: Some(firer) });
    reactor.connect_protocol(endpoint, (answers, (asker, lost))).add_callback(|(asker, lost)| work(asker, lost))
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8131".into());
    react(|reactor| async move { Ok(conversation(&reactor, &endpoint).await?) })
}
