//! The peers of a crowd, in their own process: `hub peers CONTROL [PORT COUNT READS]..`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;

use super::clock::{nanoseconds, percentile};

/// Concurrent connection attempts, fewer than fit into the accept queue.
const AT_ONCE: usize = 100;

/// What all peers together have received.
#[derive(Default)]
struct Counts {
    total: u64,
    /// When bytes arrived, since the parent's last answer.
    arrivals: Vec<u64>,
    wanted: Option<Wanted>,
    latencies: HashMap<String, Vec<u64>>,
}

/// The parent gets an answer when this many bytes have arrived in total; with `sent`, latencies since then are recorded.
struct Wanted {
    total: u64,
    sent: u64,
    key: String,
}

impl Counts {
    fn is_reached(&mut self) -> bool {
        let Some(wanted) = self.wanted.take_if(|wanted| wanted.total <= self.total) else { return false };
        if wanted.sent > 0 {
            let late = self.arrivals.iter().map(|at| at.saturating_sub(wanted.sent));
            self.latencies.entry(wanted.key).or_default().extend(late);
        }
        self.arrivals.clear();
        true
    }

    fn report(&mut self, key: &str) -> String {
        let latencies = self.latencies.entry(key.to_owned()).or_default();
        let [half, most] = [50.0, 99.0].map(|part| percentile(latencies, part));
        format!("{half} {most}")
    }
}

/// The parent's connection for requests.
struct Control {
    counts: Rc<RefCell<Counts>>,
    transport: Rc<RefCell<Option<LineTransport>>>,
}

impl LineProtocol for Control {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        self.transport.replace(Some(transport.clone()));
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        let line = std::str::from_utf8(line)?;
        match *line.split(' ').collect::<Vec<_>>() {
            ["until", total, sent, key] => {
                let wanted = Wanted { total: total.parse()?, sent: sent.parse()?, key: key.to_owned() };
                let mut counts = self.counts.borrow_mut();
                counts.wanted = Some(wanted);
                if counts.is_reached() {
                    transport.send_line("reached");
                }
            }
            ["report", key] => transport.send_line(self.counts.borrow_mut().report(key)),
            _ => return Err(format!("no such question: {line}").into()),
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, _reason: &Reason) -> Result {
        Ok(transport.reactor().stop()?)
    }
}

struct Peer {
    counts: Rc<RefCell<Counts>>,
    control: Rc<RefCell<Option<LineTransport>>>,
    reads: bool,
    next: Rc<Next>,
}

impl Protocol for Peer {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        if !self.reads {
            transport.pause_producing();
        }
        self.next.connect();
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        let mut counts = self.counts.borrow_mut();
        counts.total += data.len() as u64;
        counts.arrivals.push(nanoseconds());
        if counts.is_reached()
            && let Some(control) = &*self.control.borrow()
        {
            control.send_line("reached");
        }
        Ok(())
    }
}

/// Connects one peer after the other.
struct Next {
    reactor: Reactor,
    counts: Rc<RefCell<Counts>>,
    control: Rc<RefCell<Option<LineTransport>>>,
    left: RefCell<Vec<(u16, bool)>>,
}

impl Next {
    fn connect(self: &Rc<Self>) {
        let Some((port, reads)) = self.left.borrow_mut().pop() else { return };
        let next = Rc::clone(self);
        let peer = move |_peer| {
            let (counts, control) = (Rc::clone(&next.counts), Rc::clone(&next.control));
            Peer { counts, control, reads, next: Rc::clone(&next) }
        };
        self.reactor.connect_tcp(("127.0.0.1", port), peer).expect("an address");
    }
}

pub fn run(args: &[&str]) -> Result {
    let [control, groups @ ..] = args else { return Err("usage: hub peers CONTROL [PORT COUNT READS]..".into()) };
    let mut left = Vec::new();
    for group in groups.chunks(3) {
        let [port, count, reads] = group else { return Err("a group is a port, a count, and true or false".into()) };
        let count = count.parse()?;
        left.extend(std::iter::repeat_n((port.parse()?, reads.parse()?), count));
    }
    let reactor = Reactor::new()?;
    // How long that takes is what is measured.
    reactor.set_slow_callback_duration(Duration::MAX);
    let (counts, transport) = (Rc::new(RefCell::default()), Rc::default());
    let (asked, answering) = (Rc::clone(&counts), Rc::clone(&transport));
    let control = control.parse::<u16>()?;
    reactor.connect_tcp(("127.0.0.1", control), move |_peer| {
        LineReceiver::new(Control { counts: Rc::clone(&asked), transport: Rc::clone(&answering) })
    })?;
    let next = Rc::new(Next { reactor: reactor.clone(), counts, control: transport, left: RefCell::new(left) });
    (0..AT_ONCE).for_each(|_| next.connect());
    reactor.run()
}
