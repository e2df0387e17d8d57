//! What a message costs Redis and this process when many topics keep their messages: one is published at a time, on one of them.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use torsade::hub::{HubConfig, Message};
use torsade::prelude::*;
use torsade_bench::cpu_seconds;

use super::broker::Broker;

const MESSAGES: usize = 300;

pub fn run(counts: &[usize]) -> Result {
    let Some(broker) = Broker::redis() else { return Ok(()) };
    println!("a message on one of so many topics of redis-server that keep theirs:");
    println!("  {:>6} {:>12} {:>12} {:>12} {:>12}", "topics", "bytes to it", "bytes of it", "its us", "our us");
    for count in counts {
        topics(&broker, *count)?;
    }
    Ok(())
}

fn topics(broker: &Broker, count: usize) -> Result {
    let reactor = Reactor::new()?;
    reactor.set_slow_callback_duration(Duration::MAX);
    let hub = HubConfig::new(&broker.url())?.queue(20_000, 64 << 20).replay("kept.>", 10)?.open(&reactor)?;
    let heard = Rc::new(Cell::new(0));
    for number in 0..count {
        let count = Rc::clone(&heard);
        let hear = move |_: &Message| {
            count.set(count.get() + 1);
            Ok(())
        };
        hub.subscribe(&topic(number), hear)?;
    }
    reactor.start_running()?;
    let publish = |number: usize| -> Result {
        let before = heard.get();
        hub.publish(&topic(number), "x".repeat(100))?;
        while heard.get() == before {
            reactor.iterate(Some(Duration::from_secs(1)))?;
        }
        Ok(())
    };
    // Until all subscriptions have begun; some of these messages may arrive earlier.
    while heard.get() < count {
        let before = heard.get();
        for number in 0..count {
            hub.publish(&topic(number), "begin")?;
        }
        let quiet = Instant::now();
        while heard.get() < before + count && quiet.elapsed() < Duration::from_secs(20) {
            reactor.iterate(Some(Duration::from_millis(20)))?;
        }
    }
    let (used, ours) = (Used::ask(broker.port())?, cpu_seconds());
    for number in 0..MESSAGES {
        publish(number * 7919 % count)?;
    }
    let (ours, now) = (cpu_seconds() - ours, Used::ask(broker.port())?);
    let each = |total: f64| total / MESSAGES as f64;
    println!(
        "  {count:>6} {:>12.0} {:>12.0} {:>12.1} {:>12.1}",
        each(now.input - used.input),
        each(now.output - used.output),
        each(now.cpu - used.cpu) * 1e6,
        each(ours) * 1e6
    );
    Ok(())
}

fn topic(number: usize) -> String {
    format!("kept.room.{number}")
}

/// What Redis has received, sent and computed so far.
struct Used {
    input: f64,
    output: f64,
    cpu: f64,
}

impl Used {
    fn ask(port: u16) -> Result<Self> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.write_all(b"INFO everything\r\nQUIT\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|value| value.trim().parse().ok()).unwrap_or(f64::NAN)
        };
        let cpu = value("used_cpu_user") + value("used_cpu_sys");
        Ok(Self { input: value("total_net_input_bytes"), output: value("total_net_output_bytes"), cpu })
    }
}
