//! A receiver of metrics like carbon, ported: lines, datagrams and batches come in, are rewritten and aggregated, and are relayed
//! to destinations chosen by consistent hashing of the name. The original is `original.py` beside it, with the formats.
//!
//! Run:    cargo run --example port_metrics -- --destination a=127.0.0.1:2103 --rules examples/ports/metrics/rules --interval 1
//! Try:    nc -lk 2103 in one window; in another: printf 'servers.x.load 1.5 100\nservers.y.load 2 100\n' | nc -N 127.0.0.1 2003
//! Expect: both under their new names, and within a second what the rules make of them: all.load 3.5 100, mean.load 1.75 100.

pub mod aggregate;
pub mod datapoint;
pub mod destination;
pub mod options;
pub mod pipeline;
pub mod receivers;
pub mod ring;
pub mod rules;
pub mod status;

use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::service::{MultiService, StreamServerEndpointService, TimerService, run_service};

use self::destination::{Destination, DestinationService};
use self::options::Options;
use self::pipeline::Pipeline;
use self::receivers::DatagramService;
use self::rules::Rules;

/// All services of the program; `wrap` is for whoever puts something around its factories.
pub fn make_service<F: Factory + 'static>(options: &Options, wrap: impl Fn(Box<dyn Factory>) -> F) -> Result<MultiService> {
    let rules = match &options.rules {
        Some(path) => std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?,
        None => Vec::new(),
    };
    let root = MultiService::new();
    let mut destinations = Vec::new();
    for (name, endpoint) in &options.destinations {
        let destination = Destination::new(name, options.queue);
        root.add_service(DestinationService::new(endpoint, &destination)?)?;
        destinations.push(destination);
    }
    let pipeline = Rc::new(Pipeline::new(Rules::parse(&rules)?, destinations));
    let servers: [(&str, Box<dyn Factory>); 3] = [
        (&options.lines, Box::new(receivers::lines(&pipeline, options.idle))),
        (&options.batches, Box::new(receivers::batches(&pipeline, options.idle))),
        (&options.status, Box::new(status::status(&pipeline))),
    ];
    for (endpoint, factory) in servers {
        root.add_service(StreamServerEndpointService::new(endpoint, wrap(factory))?)?;
    }
    root.add_service(DatagramService::new(&options.lines, &pipeline))?;
    root.add_service(TimerService::new(options.interval, move || pipeline.flush()))?;
    Ok(root)
}

fn main() -> Result {
    env_logger::init();
    let options = Options::parse(std::env::args().skip(1))?;
    run_service(make_service(&options, |factory| factory)?, Duration::from_secs(5))
}
