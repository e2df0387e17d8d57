//! One way in which a peer's bytes arrive, and a run of it.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::policies::WrappedProtocol;
use torsade_protocols::{Address, ClientFactory, Factory, Protocol};
use torsade_reactor::Reactor;
use torsade_reactor::simulated::{Faults, Simulation};

use super::difference::Outcome;
use super::watched::{Holding, Notes, Peer, Watched};
use crate::ReactorTcp;
#[cfg(feature = "tls")]
use crate::ReactorTls;

const HOST: &str = "10.0.0.1";
const PEER: &str = "10.0.0.2";
/// The time between two pieces.
const GAP: Duration = Duration::from_millis(1);
/// How long the peer waits between two sends, and before it ends its stream late.
const SILENCE: Duration = Duration::from_secs(1);
/// How long the connection has to end after the end of the peer's stream.
const PATIENCE: Duration = Duration::from_secs(120);

/// When the end of the peer's stream comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    Late,
    Soon,
}

/// What the peer does at some time.
#[derive(Debug)]
pub(super) enum Step {
    Send(Vec<u8>),
    /// The same, with the end of the stream right behind it.
    SendLast(Vec<u8>),
    End,
}

/// How the bytes arrive.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    input: Vec<u8>,
    waits: Vec<usize>,
    cuts: BTreeSet<usize>,
    end: End,
    /// The callback in which reading is paused.
    pause_at: usize,
    congested: bool,
    compressed: bool,
    tls: bool,
    whole: usize,
}

impl Replay {
    pub(super) fn new(input: &[u8], waits: &[usize]) -> Self {
        Self {
            input: input.to_vec(),
            waits: waits.to_vec(),
            cuts: BTreeSet::new(),
            end: End::Late,
            pause_at: 0,
            congested: false,
            compressed: false,
            tls: false,
            whole: input.len(),
        }
    }

    pub(super) fn cut_at(mut self, cuts: Vec<usize>) -> Self {
        self.cuts = cuts.into_iter().collect();
        self
    }

    pub(super) fn cut_everywhere(self) -> Self {
        let cuts = (1..self.input.len()).collect();
        self.cut_at(cuts)
    }

    pub(super) fn ending(mut self, length: usize, end: End) -> Self {
        self.input.truncate(length);
        self.waits.retain(|wait| *wait < length);
        self.end = end;
        self
    }

    pub(super) const fn pausing_at(mut self, callback: usize) -> Self {
        self.pause_at = callback;
        self
    }

    pub(super) const fn congested(mut self) -> Self {
        self.congested = true;
        self
    }

    pub(super) const fn layered(mut self, compressed: bool, tls: bool) -> Self {
        self.compressed = compressed;
        self.tls = tls;
        self
    }

    /// The input in its pieces.
    fn pieces(&self) -> Vec<&[u8]> {
        let positions: BTreeSet<usize> = self.cuts.iter().chain(&self.waits).copied().collect();
        let mut rest = &self.input[..];
        let mut pieces = Vec::new();
        let mut begin = 0;
        for position in positions.into_iter().filter(|position| *position < self.input.len()) {
            let (piece, behind) = rest.split_at(position - begin);
            pieces.push(piece);
            (rest, begin) = (behind, position);
        }
        pieces.push(rest);
        pieces
    }

    /// The peer's steps, and how long they take.
    fn steps(&self) -> (Vec<(Duration, Step)>, Duration) {
        let (mut time, mut position, mut steps) = (GAP, 0, Vec::new());
        let pieces = self.pieces();
        for (number, piece) in pieces.iter().enumerate() {
            position += piece.len();
            let last = number + 1 == pieces.len() && self.end == End::Soon;
            let step = if last { Step::SendLast(piece.to_vec()) } else { Step::Send(piece.to_vec()) };
            steps.push((time, step));
            time += if self.waits.contains(&position) { SILENCE } else { GAP };
        }
        if self.end == End::Late {
            time += SILENCE + if self.congested { time } else { Duration::ZERO };
            steps.push((time, Step::End));
        }
        (steps, time)
    }

    /// Runs the protocol.
    pub(super) fn run<P: Protocol + 'static>(&self, factory: &impl Fn(&Notes) -> P) -> Outcome {
        let latency = Duration::from_micros(1);
        let mut faults = Faults { bandwidth: None, latency: latency..=latency, segment: 65_536..=65_536, ..Faults::calm() };
        if self.congested {
            faults.send_buffer = 1..=1;
        }
        let simulation = Simulation::with_faults(1, faults);
        simulation.set_logging(false);
        let (steps, time) = self.steps();
        let notes = Notes::default();
        notes.pause_at(self.pause_at);
        let holding = Holding { notes: notes.clone(), congested: self.congested.then_some(time / 2) };
        let protocol: Box<dyn Protocol> = match factory(&notes) {
            protocol if self.congested || self.pause_at > 0 => Box::new(WrappedProtocol::new(holding, protocol)),
            protocol => Box::new(protocol),
        };
        let mut watched = Some(Watched { protocol, notes: notes.clone(), compressed: self.compressed });
        let peer = Peer { steps: Rc::new(steps), compressed: self.compressed, received: Rc::default() };
        let received = Rc::clone(&peer.received);
        let (host, other) = (simulation.host(HOST), simulation.host(PEER));
        let stands = self.connect(&host, &other, move |_peer: Address| watched.take(), move |_peer: Address| peer.clone());
        debug_assert!(stands, "a new host has free ports");
        let over = || notes.reason().is_some();
        // An error says that it does not end, which the outcome shows.
        simulation.run_for(time).ok();
        simulation.set_time_limit(PATIENCE);
        simulation.run_until(over).ok();
        // What it sent is still on its way.
        simulation.run_for(SILENCE).ok();
        let compressed_itself =
            !self.compressed && notes.transport().is_some_and(|transport| transport.compression_stats().is_some());
        let sent = received.borrow().clone();
        let tls_itself = !self.tls && notes.has_switched_tls_on();
        Outcome {
            sent,
            notes: notes.lines(),
            reason: notes.reason(),
            callbacks: notes.callbacks(),
            compressed_itself,
            tls_itself,
        }
    }

    /// Makes `there` listen and `here` connect to it; returns whether they could.
    fn connect(
        &self,
        there: &Reactor,
        here: &Reactor,
        server: impl Factory + 'static,
        client: impl ClientFactory + 'static,
    ) -> bool {
        #[cfg(feature = "tls")]
        if self.tls {
            let (Ok(keys), Ok(roots)) = (super::keys::server(), super::keys::client()) else { return false };
            return there.listen_tls("0.0.0.0:7", &keys, server).is_ok()
                && here.connect_tls("10.0.0.1:7", &roots, client).is_ok();
        }
        there.listen_tcp("0.0.0.0:7", server).is_ok() && here.connect_tcp("10.0.0.1:7", client).is_ok()
    }

    /// Says how the bytes arrive, in words that continue "when its input ...".
    pub(super) fn describe(&self) -> String {
        let quoted = |bytes: &[u8]| format!("\"{}\"", bytes.escape_ascii());
        let mut text = if self.input.is_empty() {
            "is nothing".to_owned()
        } else if self.pieces().len() == 1 {
            format!("arrives in one piece, {}", quoted(&self.input))
        } else if self.pieces().iter().all(|piece| piece.len() == 1) {
            format!("arrives byte by byte, {}", quoted(&self.input))
        } else {
            format!("arrives in pieces, {}", self.pieces().into_iter().map(quoted).collect::<Vec<_>>().join(", "))
        };
        if self.input.len() < self.whole || self.end == End::Soon {
            text += if self.end == End::Soon { ", its end right after it" } else { ", its end a second later" };
        }
        if self.pause_at > 0 {
            text += &format!(", and reading is paused in callback {} (data_received and notes are counted)", self.pause_at);
        }
        if self.congested {
            text += ", and its output is congested after every write";
        }
        if self.compressed {
            text += ", and the connection is compressed";
        }
        if self.tls {
            text += ", and it speaks TLS";
        }
        text
    }
}
