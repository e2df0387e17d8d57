//! Two of these carry any TCP service over a compressed link, for applications that cannot be changed.
//!
//! Run:    cargo run --release --example compress_tunnel far  0.0.0.0:7001    127.0.0.1:80     (beside the service)
//!         cargo run --release --example compress_tunnel near 127.0.0.1:7000  far.host:7001    (beside its users)
//!         Both are endpoints: unix:/run/service.sock, tls:far.host:7001
//! Flags:  the fourth argument is a format, the same on both sides: deflate (default), deflate-raw, gzip; with --features zstd,lz4
//!         also zstd, lz4; the fifth is a dictionary file (see torsade_dictionary), also the same on both sides
//!         --stats: each second with traffic, what the links have carried so far; the total as JSON when it is stopped
//! Try:    curl http://127.0.0.1:7000/
//! Expect: whatever the service does, and a line for each link that ends. A link that is cut resets both ends.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::{CompressionStats, Dictionary, Phase, SystemEvent};

/// A side of a forwarded connection, shared with the other side.
type Slot = Rc<RefCell<Option<Transport>>>;

/// The totals of compressed legs that have ended, and all live sides, of which every second one is a leg.
#[derive(Default)]
pub struct Meter {
    gone: [u64; 7],
    sides: Vec<Transport>,
}

impl Meter {
    fn total(&self) -> [u64; 7] {
        let legs = self.sides.iter().filter_map(Transport::compression_stats);
        legs.fold(self.gone, |sum, leg| add(sum, &leg))
    }

    /// All totals as JSON.
    pub fn json(&self, time: Duration) -> String {
        let [connections, messages, flushes, plain_out, wire_out, plain_in, wire_in] = self.total();
        let direction = |plain: u64, wire: u64| {
            let ratio = if plain > 0 { format!("{:.3}", wire as f64 / plain as f64) } else { "null".to_owned() };
            format!(r#"{{"plain":{plain},"wire":{wire},"ratio":{ratio}}}"#)
        };
        let (sent, got, seconds) = (direction(plain_out, wire_out), direction(plain_in, wire_in), time.as_secs_f64());
        format!(
            r#"{{"seconds":{seconds:.3},"connections":{connections},"messages":{messages},"flushes":{flushes},"sent":{sent},"got":{got}}}"#
        )
    }
}

fn add(sum: [u64; 7], leg: &CompressionStats) -> [u64; 7] {
    let leg = [1, leg.messages, leg.flushes, leg.plain_out, leg.wire_out, leg.plain_in, leg.wire_in];
    std::array::from_fn(|index| sum[index] + leg[index])
}

#[derive(Clone)]
struct Tunnel {
    dictionary: Option<Dictionary>,
    far: bool,
    format: Format,
    meter: Rc<RefCell<Meter>>,
    target: String,
}

struct Side {
    tunnel: Tunnel,
    own: Slot,
    other: Slot,
    /// It was accepted, and the other side still has to connect.
    first: bool,
}

impl Side {
    fn with_other(&self, call: impl FnOnce(&Transport)) {
        self.other.borrow().as_ref().map(call);
    }
}

impl Protocol for Side {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.set_detection(Detect::Off);
        // The two pause each other, so neither has to stop reading because its own peer does not read.
        transport.set_read_while_congested(true);
        if self.first == self.tunnel.far {
            let Tunnel { dictionary, format, .. } = &self.tunnel;
            // The other end is Torsade too, so the shorter form of a flush will do.
            let sending = Compression::from(*format).flush(Flush::Partial);
            let sending = dictionary.iter().fold(sending, Compression::dictionary);
            let reading = Decompression::from(*format).truncation(Truncation::Error);
            transport.set_compression::<Compression>(sending)?;
            // Each end opens its stream at once and always ends it: a leg without any stream end was cut off.
            transport.flush_compression();
            transport.expect_compression::<Decompression>(dictionary.iter().fold(reading, Decompression::dictionary), b"")?;
        }
        self.tunnel.meter.borrow_mut().sides.push(transport.clone());
        self.own.replace(Some(transport.clone()));
        if self.first {
            transport.pause_producing();
            let second = Second { tunnel: self.tunnel.clone(), first: self.own.clone(), second: self.other.clone() };
            transport.reactor().connect(&self.tunnel.target, second)?;
            return Ok(());
        }
        let first = self.other.borrow().clone().ok_or("the other side is gone")?;
        first.register_producer(transport.clone(), true)?;
        transport.register_producer(first.clone(), true)?;
        first.resume_producing();
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        self.with_other(|other| other.write(data));
        Ok(())
    }

    fn read_connection_lost(&mut self, _transport: &Transport) -> Result {
        self.with_other(Transport::lose_write_connection);
        Ok(())
    }

    fn connection_lost(&mut self, transport: &Transport, reason: &Reason) -> Result {
        self.own.take();
        self.with_other(|other| if reason.is_clean() { other.lose_connection() } else { other.abort_connection() });
        let meter = &mut *self.tunnel.meter.borrow_mut();
        meter.sides.retain(|side| side.id() != transport.id());
        if let Some(leg) = transport.compression_stats() {
            meter.gone = add(meter.gone, &leg);
            println!("{}: {leg}; {reason}", transport.peer());
        }
        Ok(())
    }
}

/// The protocol of the side that connects.
struct Second {
    tunnel: Tunnel,
    first: Slot,
    second: Slot,
}

impl Factory for Second {
    fn build_protocol(&mut self, _peer: &Address) -> Option<Box<dyn Protocol>> {
        let (own, other) = (self.second.clone(), self.first.clone());
        Some(Box::new(Side { tunnel: self.tunnel.clone(), own, other, first: false }))
    }
}

impl ClientFactory for Second {
    fn client_connection_failed(&mut self, connector: &Connector, reason: &ConnectError) -> Result {
        eprintln!("{}: {reason}", connector.destination());
        if let Some(first) = self.first.take() {
            first.abort_connection();
        }
        Ok(())
    }
}

/// Prints the totals of the legs so far, in each second in which they changed.
fn print_ratio(reactor: &Reactor, meter: Rc<RefCell<Meter>>, before: [u64; 7]) {
    let again = reactor.clone();
    reactor.call_later(Duration::from_secs(1), move || {
        let total = meter.borrow().total();
        if total != before {
            let [connections, _, _, plain_out, wire_out, plain_in, wire_in] = total;
            let share = |wire, plain| 100 * wire / u64::max(plain, 1);
            let (out, back) = (share(wire_out, plain_out), share(wire_in, plain_in));
            let sent = format!("sent {plain_out} bytes as {wire_out} ({out}%)");
            println!("{connections} connections {sent}, got {plain_in} as {wire_in} ({back}%)");
        }
        print_ratio(&again, meter, total);
    });
}

/// Starts one end of the tunnel on any reactor, a simulated one as well.
pub fn start(
    reactor: &Reactor,
    far: bool,
    endpoint: &str,
    target: &str,
    format: Format,
    dictionary: Option<Dictionary>,
) -> Result<(Port, Rc<RefCell<Meter>>)> {
    let tunnel = Tunnel { dictionary, far, format, meter: Rc::default(), target: target.to_owned() };
    let (meter, cut) = (tunnel.meter.clone(), tunnel.meter.clone());
    // A stop cuts off what passes through, and neither end may take that for the whole.
    let abort = move || cut.borrow().sides.iter().for_each(Transport::abort_connection);
    reactor.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, abort);
    let first = move |_peer| Side { tunnel: tunnel.clone(), own: Slot::default(), other: Slot::default(), first: true };
    Ok((reactor.listen(endpoint, first)?, meter))
}

fn main() -> Result {
    env_logger::init();
    let (stats, args): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|argument| argument == "--stats");
    let [end, endpoint, target, options @ ..] = args.as_slice() else {
        return Err("usage: compress_tunnel near|far ENDPOINT TARGET [FORMAT [DICTIONARY]] [--stats]".into());
    };
    let format = options.first().map_or(Ok(Format::Deflate), |format| format.parse())?;
    let dictionary = options.get(1).map(std::fs::read).transpose()?.map(Dictionary::new);
    let reactor = Reactor::new()?;
    let (port, meter) = start(&reactor, end == "far", endpoint, target, format, dictionary)?;
    println!("listening on {}", port.address());
    if !stats.is_empty() {
        print_ratio(&reactor, meter.clone(), [0; 7]);
    }
    reactor.run()?;
    if !stats.is_empty() {
        println!("{}", meter.borrow().json(reactor.now()));
    }
    Ok(())
}
