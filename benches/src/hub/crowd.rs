//! A hub in this process, on a reactor turned by hand, and its members, whose peers are in another process.

use std::cell::RefCell;
use std::process::{Child, Command};
use std::rc::Rc;
use std::time::Duration;

use torsade::hub::{Encoding, Hub, HubConfig, Member};
use torsade::prelude::*;

use super::clock::nanoseconds;

/// The length of the line end added to each payload.
const LINE_END: usize = 2;

pub struct Group {
    pub topic: &'static str,
    pub members: usize,
    /// Whether their peers read; if not, the default limits apply.
    pub reads: bool,
}

pub struct Crowd {
    pub hub: Hub,
    reactor: Reactor,
    /// The connections whose peers read.
    readers: Rc<RefCell<Vec<Transport>>>,
    pub silent: Rc<RefCell<Vec<Transport>>>,
    control: LineTransport,
    answer: Rc<RefCell<Option<String>>>,
    peers: Child,
    /// Bytes sent to readers without compression.
    plain: u64,
}

struct Joining {
    hub: Hub,
    topic: &'static str,
    lines: Encoding,
    limit: Option<(usize, usize)>,
    joined: Rc<RefCell<Vec<Transport>>>,
}

impl Protocol for Joining {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.set_write_buffer_cap(usize::MAX);
        let member = Member::new(transport, &self.lines);
        let member = match self.limit {
            Some((messages, bytes)) => member.limit(messages, bytes),
            None => member,
        };
        self.hub.join(self.topic, member)?;
        self.joined.borrow_mut().push(transport.clone());
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, _data: &[u8]) -> Result {
        Ok(())
    }
}

struct Control {
    transport: Rc<RefCell<Option<LineTransport>>>,
    answer: Rc<RefCell<Option<String>>>,
}

impl LineProtocol for Control {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        self.transport.replace(Some(transport.clone()));
        Ok(())
    }

    fn line_received(&mut self, _transport: &LineTransport, line: &[u8]) -> Result {
        self.answer.replace(Some(String::from_utf8_lossy(line).into_owned()));
        Ok(())
    }
}

impl Crowd {
    pub fn new(groups: &[Group]) -> Result<Self> {
        let reactor = Reactor::new()?;
        reactor.set_slow_callback_duration(Duration::MAX);
        let hub = HubConfig::new("local:")?.queue(1 << 20, 1 << 30).open(&reactor)?;
        let (readers, silent, lines) = (Rc::default(), Rc::default(), Encoding::lines());
        let (transport, answer) = (Rc::new(RefCell::new(None)), Rc::default());
        let (made, told) = (Rc::clone(&transport), Rc::clone(&answer));
        let control = reactor.listen_tcp("127.0.0.1:0", move |_peer| {
            LineReceiver::new(Control { transport: Rc::clone(&made), answer: Rc::clone(&told) })
        })?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("peers").arg(port(&control).to_string());
        for group in groups {
            let (hub, topic, lines) = (hub.clone(), group.topic, lines.clone());
            let joined = Rc::clone(if group.reads { &readers } else { &silent });
            let limit = group.reads.then_some((1 << 20, 1 << 30));
            let join = move |_peer| Joining { hub: hub.clone(), topic, lines: lines.clone(), limit, joined: Rc::clone(&joined) };
            let listening = reactor.listen_tcp("127.0.0.1:0", join)?;
            command.args([port(&listening).to_string(), group.members.to_string(), group.reads.to_string()]);
        }
        reactor.start_running()?;
        let peers = command.spawn()?;
        let wanted = groups.iter().map(|group| group.members).sum();
        while readers.borrow().len() + silent.borrow().len() < wanted || transport.borrow().is_none() {
            reactor.iterate(Some(Duration::from_millis(100)))?;
        }
        let control = transport.take().ok_or("the peers are gone")?;
        Ok(Self { hub, reactor, readers, silent, control, answer, peers, plain: 0 })
    }

    /// Switches compression to the readers on or off, in a turn of its own.
    pub fn compress(&mut self, on: bool) -> Result {
        for reader in &*self.readers.borrow() {
            if on {
                reader.set_compression(Compression::deflate().level(1).announce(false))?;
            } else {
                reader.end_compression();
            }
        }
        self.turn()?;
        self.settle(None)
    }

    /// Publishes messages, `a_turn` in each turn, to this many readers, and turns until all are written.
    pub fn publish(&mut self, topic: &str, messages: &[&[u8]], a_turn: usize, readers: usize, compressed: bool) -> Result {
        let wanted = self.delivered() + (messages.len() * readers) as u64;
        for some in messages.chunks(a_turn) {
            for message in some {
                self.hub.publish(topic, message)?;
            }
            self.turn()?;
        }
        while self.delivered() < wanted {
            self.reactor.iterate(Some(Duration::from_millis(1)))?;
        }
        if !compressed {
            self.plain += messages.iter().map(|message| (message.len() + LINE_END) * readers).sum::<usize>() as u64;
        }
        Ok(())
    }

    /// Waits until all readers have everything. With a key the peers record the time since `sent`.
    pub fn settle(&mut self, sent: Option<(u64, &str)>) -> Result {
        while self.readers.borrow().iter().any(|reader| reader.unsent() > 0) {
            self.reactor.iterate(Some(Duration::from_millis(1)))?;
        }
        let compressed =
            self.readers.borrow().iter().filter_map(Transport::compression_stats).map(|stats| stats.wire_out).sum::<u64>();
        let (sent, key) = sent.unwrap_or((0, "-"));
        self.ask(&format!("until {} {sent} {key}", self.plain + compressed)).map(drop)
    }

    /// Publishes one message, and records its latency to each reader under the key.
    pub fn publish_timed(&mut self, topic: &str, message: &[u8], readers: usize, compressed: bool, key: &str) -> Result {
        let sent = nanoseconds();
        self.publish(topic, &[message], 1, readers, compressed)?;
        self.settle(Some((sent, key)))
    }

    /// The median and the 99th percentile of the latencies recorded under a key, in nanoseconds.
    pub fn latencies(&mut self, key: &str) -> Result<(u64, u64)> {
        let answer = self.ask(&format!("report {key}"))?;
        let (half, most) = answer.split_once(' ').ok_or("no report")?;
        Ok((half.parse()?, most.parse()?))
    }

    /// Messages given to readers.
    fn delivered(&self) -> u64 {
        self.hub.stats().delivered
    }

    fn ask(&self, question: &str) -> Result<String> {
        self.control.send_line(question);
        loop {
            self.reactor.iterate(Some(Duration::from_millis(100)))?;
            if let Some(answer) = self.answer.take() {
                return Ok(answer);
            }
            if !self.control.is_connected() {
                return Err("the peers are gone: raise the limit of open files (ulimit -n)".into());
            }
        }
    }

    fn turn(&self) -> Result {
        self.reactor.iterate(Some(Duration::ZERO))
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.control.abort_connection();
        for members in [&self.readers, &self.silent] {
            members.borrow().iter().for_each(Transport::abort_connection);
        }
        self.turn().ok();
        // It may have ended already.
        self.peers.kill().ok();
        self.peers.wait().ok();
    }
}

fn port(port: &Port) -> u16 {
    port.address().port().unwrap_or(0)
}
