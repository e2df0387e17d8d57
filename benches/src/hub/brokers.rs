//! Through a broker and back, compared with a bare client of the same protocol and, for Redis, `redis-benchmark`.

use std::cell::Cell;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use torsade::hub::{Hub, HubConfig, Message};
use torsade::prelude::*;
use torsade_bench::{cpu_seconds, events};

use super::bare::Bare;
use super::broker::Broker;
use super::clock::{microseconds, nanoseconds, percentile};

const SIZE: usize = 200;
/// Messages published at once.
const BURST: usize = 10_000;
/// The same if each is on disk before it is confirmed.
const STORED: usize = 500;
/// Messages sent one at a time, each after the one before has arrived.
const SINGLE: usize = 300;
const ROUNDS: usize = 5;

/// Two hubs on one reactor, each with its own connection: one publishes, the other is subscribed.
struct Hubs {
    reactor: Reactor,
    publisher: Hub,
    _subscriber: Hub,
    heard: Rc<Cell<usize>>,
}

struct Measured {
    name: &'static str,
    burst: usize,
    /// The shortest wall-clock and processor times per message of a burst.
    wall: f64,
    cpu: f64,
    singles: Vec<u64>,
}

type Publish<'a> = &'a mut dyn FnMut(usize) -> Result;

impl Hubs {
    fn open(url: &str) -> Result<Self> {
        let reactor = Reactor::new()?;
        reactor.set_slow_callback_duration(Duration::MAX);
        let config = HubConfig::new(url)?.queue(2 * BURST, 64 << 20).replay("kept.>", 1000)?;
        let (publisher, subscriber) = (config.open(&reactor)?, config.open(&reactor)?);
        let heard = Rc::new(Cell::new(0));
        for topic in ["bench.hub", "kept.hub"] {
            let count = Rc::clone(&heard);
            let hear = move |_: &Message| {
                count.set(count.get() + 1);
                Ok(())
            };
            subscriber.subscribe(topic, hear)?;
        }
        reactor.start_running()?;
        let hubs = Self { reactor, publisher, _subscriber: subscriber, heard };
        let begun = Instant::now();
        // Until the subscriptions have begun.
        for topic in ["bench.hub", "kept.hub"] {
            while hubs.heard.replace(0) == 0 {
                if begun.elapsed() > Duration::from_secs(20) {
                    return Err(format!("nothing comes through {url}: {:?}", hubs.publisher.stats()).into());
                }
                hubs.publisher.publish(topic, "begin")?;
                hubs.reactor.iterate(Some(Duration::from_millis(20)))?;
            }
        }
        let quiet = Instant::now();
        while quiet.elapsed() < Duration::from_millis(500) {
            hubs.reactor.iterate(Some(Duration::from_millis(100)))?;
        }
        Ok(hubs)
    }

    /// Publishes this many messages at once, and turns until all have arrived.
    fn publish(&self, topic: &str, payload: &[u8], count: usize) -> Result {
        self.heard.set(0);
        for _ in 0..count {
            self.publisher.publish(topic, payload)?;
        }
        let begun = Instant::now();
        while self.heard.get() < count {
            self.reactor.iterate(Some(Duration::from_secs(1)))?;
            if begun.elapsed() > Duration::from_secs(60) {
                return Err(format!("{} of {count} came: {:?}", self.heard.get(), self.publisher.stats()).into());
            }
        }
        Ok(())
    }
}

impl Measured {
    const fn new(name: &'static str, burst: usize) -> Self {
        Self { name, burst, wall: f64::MAX, cpu: f64::MAX, singles: Vec::new() }
    }

    fn round(&mut self, publish: Publish<'_>) -> Result {
        let (begun, cpu) = (Instant::now(), cpu_seconds());
        publish(self.burst)?;
        self.cpu = self.cpu.min((cpu_seconds() - cpu) / self.burst as f64);
        self.wall = self.wall.min(begun.elapsed().as_secs_f64() / self.burst as f64);
        for _ in 0..SINGLE.min(self.burst) {
            let sent = nanoseconds();
            publish(1)?;
            self.singles.push(nanoseconds() - sent);
        }
        Ok(())
    }

    fn print(&mut self) {
        let [half, most] = [50.0, 99.0].map(|part| microseconds(percentile(&mut self.singles, part)));
        println!(
            "  {:24} {:>12.0} {:>14.0} {:>11.2} {half:>10.1} {most:>10.1}",
            self.name,
            1.0 / self.wall,
            1.0 / self.cpu,
            self.cpu * 1e6
        );
    }
}

pub fn run() -> Result {
    let payload = events().split_off(1000)[..SIZE].to_vec();
    if let Some(broker) = Broker::redis() {
        let bare = Bare::redis(broker.port(), "bench.bare", &payload)?;
        through("redis-server", &broker, bare, &payload)?;
    }
    if let Some(broker) = Broker::nats() {
        let bare = Bare::nats(broker.port(), "bench.bare", &payload)?;
        through("nats-server", &broker, bare, &payload)?;
    }
    Ok(())
}

fn through(name: &str, broker: &Broker, mut bare: Bare, payload: &[u8]) -> Result {
    let hubs = Hubs::open(&broker.url())?;
    let [mut hub, mut kept, mut client] =
        [("hub", BURST), ("hub, kept, on disk", STORED), ("bare client", BURST)].map(|(name, burst)| Measured::new(name, burst));
    let mut benchmark = 0.0;
    for _ in 0..ROUNDS {
        hub.round(&mut |count| hubs.publish("bench.hub", payload, count))?;
        kept.round(&mut |count| hubs.publish("kept.hub", payload, count))?;
        client.round(&mut |count| bare.publish(count))?;
        if name == "redis-server" {
            benchmark = redis_benchmark(broker.port(), payload).unwrap_or(0.0).max(benchmark);
        }
    }
    println!("\nthrough {name} and back, {SIZE} bytes, publisher and subscriber in one thread:");
    println!("  {:24} {:>12} {:>14} {:>11} {:>10} {:>10}", "", "messages/s", "messages/s", "us of our", "p50 us", "p99 us");
    println!("  {:24} {:>12} {:>14} {:>11} {:>10} {:>10}", "", "by the clock", "of our core", "core each", "one by one", "");
    for measured in [&mut hub, &mut kept, &mut client] {
        measured.print();
    }
    if benchmark > 0.0 {
        println!("  {:24} {benchmark:>12.0}   publishing alone, 100 in flight, to nobody", "redis-benchmark");
    }
    Ok(())
}

/// Publications per second; prints a message and returns `None` if it is not installed.
fn redis_benchmark(port: u16, payload: &[u8]) -> Option<f64> {
    let payload = String::from_utf8_lossy(payload);
    let port = port.to_string();
    let arguments = ["-p", &port, "-n", "100000", "-c", "1", "-P", "100", "--csv", "PUBLISH", "bench.nobody", &payload];
    let output = Command::new("redis-benchmark").args(arguments).output();
    let Ok(output) = output else {
        println!("skipped: redis-benchmark is not installed");
        return None;
    };
    // "test","rps",.. and a line of values, the first of which may contain the payload's commas and quotes.
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let values = text.lines().last()?.rsplit("\",\"").collect::<Vec<_>>();
    values.get(6)?.parse().ok()
}
