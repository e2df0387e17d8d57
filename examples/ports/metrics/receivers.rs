//! What comes in: lines, batches and datagrams.

use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::service::Service;
use torsade::{StringFrameTransport, defer};

use super::datapoint::Datapoint;
use super::pipeline::Pipeline;

/// The greatest batch, in bytes.
const MAX_BATCH: usize = 1 << 16;

/// Lines, of a connection.
struct Lines {
    pipeline: Rc<Pipeline>,
    idle: Option<Duration>,
    timeout: TimeoutMixin,
}

impl LineProtocol for Lines {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        self.timeout.set_timeout(transport, self.idle);
        log::info!("line connection with {} established", transport.peer());
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        self.timeout.reset_timeout();
        match Datapoint::parse(line) {
            Some(datapoint) => self.pipeline.received(&datapoint),
            None => self.pipeline.reject(&transport.peer()),
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, _reason: &Reason) -> Result {
        // The timeout ends with the protocol.
        log::info!("line connection with {} lost", transport.peer());
        Ok(())
    }
}

/// Batches, of a connection.
struct Batches {
    pipeline: Rc<Pipeline>,
    idle: Option<Duration>,
    timeout: TimeoutMixin,
}

impl StringProtocol for Batches {
    fn connection_made(&mut self, transport: &StringFrameTransport) -> Result {
        self.timeout.set_timeout(transport, self.idle);
        log::info!("batch connection with {} established", transport.peer());
        Ok(())
    }

    fn string_received(&mut self, transport: &StringFrameTransport, string: &[u8]) -> Result {
        self.timeout.reset_timeout();
        match Datapoint::parse_batch(string) {
            Some(datapoints) => datapoints.iter().for_each(|datapoint| self.pipeline.received(datapoint)),
            None => {
                self.pipeline.reject(&transport.peer());
                transport.lose_connection();
            }
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &StringFrameTransport, _reason: &Reason) -> Result {
        log::info!("batch connection with {} lost", transport.peer());
        Ok(())
    }
}

/// What makes a connection of lines; it may be idle for so long.
pub fn lines(pipeline: &Rc<Pipeline>, idle: Option<Duration>) -> impl Factory + use<> {
    let pipeline = pipeline.clone();
    move |_peer: Address| {
        LineOnlyReceiver::new(Lines { pipeline: pipeline.clone(), idle, timeout: TimeoutMixin::new() }).delimiter(b"\n")
    }
}

/// What makes a connection of batches.
pub fn batches(pipeline: &Rc<Pipeline>, idle: Option<Duration>) -> impl Factory + use<> {
    let pipeline = pipeline.clone();
    move |_peer: Address| {
        Int32StringReceiver::new(Batches { pipeline: pipeline.clone(), idle, timeout: TimeoutMixin::new() }).max_length(MAX_BATCH)
    }
}

/// Datagrams of lines.
struct Datagrams(Rc<Pipeline>);

impl DatagramProtocol for Datagrams {
    fn datagram_received(&mut self, _transport: &DatagramTransport, data: &[u8], from: &Address) -> Result {
        for line in split_lines(data) {
            match Datapoint::parse(line) {
                Some(datapoint) => self.0.received(&datapoint),
                None => self.0.reject(from),
            }
        }
        Ok(())
    }
}

/// Python's `splitlines`: a line ends with `\n`, `\r\n` or `\r`, and the last one needs no end.
fn split_lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = data;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(rest.len());
        let (line, behind) = rest.split_at(end);
        rest = behind.strip_prefix(b"\r\n").or_else(|| behind.get(1..)).unwrap_or_default();
        Some(line)
    })
}

/// Twisted's `UDPServer`.
pub struct DatagramService {
    address: String,
    pipeline: Rc<Pipeline>,
    port: std::cell::RefCell<Option<DatagramTransport>>,
}

impl DatagramService {
    pub fn new(address: &str, pipeline: &Rc<Pipeline>) -> Self {
        Self { address: address.into(), pipeline: pipeline.clone(), port: std::cell::RefCell::default() }
    }
}

impl Service for DatagramService {
    fn start_service(&self, reactor: &Reactor) -> Result {
        self.port.replace(Some(reactor.listen_udp(&self.address, Datagrams(self.pipeline.clone()))?));
        Ok(())
    }

    fn stop_service(&self) -> Deferred<()> {
        self.port.take().iter().for_each(DatagramTransport::stop_listening);
        defer::succeed(())
    }

    fn name(&self) -> String {
        format!("the datagrams to {}", self.address)
    }
}
