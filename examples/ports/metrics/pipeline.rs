//! What all protocols give their datapoints to.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::rc::Rc;

use super::aggregate::{Aggregate, Method};
use super::datapoint::{Datapoint, is_name};
use super::destination::Destination;
use super::ring::Ring;
use super::rules::Rules;

/// So many aggregates are kept.
const MAX_AGGREGATES: usize = 10_000;

/// How much of what has come.
#[derive(Debug, Default)]
pub struct Stats {
    received: Cell<u64>,
    rejected: Cell<u64>,
    rewritten: Cell<u64>,
    aggregated: Cell<u64>,
    late: Cell<u64>,
}

impl Stats {
    pub fn all(&self) -> [(&str, u64); 5] {
        let Self { received, rejected, rewritten, aggregated, late } = self;
        let named = [
            ("received", received),
            ("rejected", rejected),
            ("rewritten", rewritten),
            ("aggregated", aggregated),
            ("late", late),
        ];
        named.map(|(name, counter)| (name, counter.get()))
    }
}

fn increment(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

/// Rewrites, aggregates and relays; shared by all that receive.
pub struct Pipeline {
    pub rules: Rules,
    pub destinations: Vec<Rc<Destination>>,
    pub stats: Stats,
    ring: Ring,
    aggregates: RefCell<BTreeMap<Vec<u8>, Aggregate>>,
}

impl Pipeline {
    pub fn new(rules: Rules, destinations: Vec<Rc<Destination>>) -> Self {
        let names: Vec<_> = destinations.iter().map(|destination| destination.name.as_bytes()).collect();
        let ring = Ring::new(&names);
        Self { rules, destinations, stats: Stats::default(), ring, aggregates: RefCell::default() }
    }

    pub fn reject(&self, peer: &dyn Display) {
        increment(&self.stats.rejected);
        log::info!("invalid data from {peer}, ignored");
    }

    pub fn received(&self, datapoint: &Datapoint<'_>) {
        increment(&self.stats.received);
        let mut name = None::<Vec<u8>>;
        for rule in &self.rules.rewrites {
            let renamed = rule.apply(name.as_deref().unwrap_or(datapoint.name));
            if let Some(renamed) = renamed.filter(|renamed| is_name(renamed)) {
                increment(&self.stats.rewritten);
                name = Some(renamed);
            }
        }
        let datapoint = Datapoint { name: name.as_deref().unwrap_or(datapoint.name), ..*datapoint };
        for (method, rule) in &self.rules.aggregations {
            if let Some(target) = rule.apply(datapoint.name).filter(|target| is_name(target)) {
                self.aggregate(*method, target, &datapoint);
            }
        }
        self.relay(&datapoint);
    }

    fn aggregate(&self, method: Method, target: Vec<u8>, datapoint: &Datapoint<'_>) {
        let mut aggregates = self.aggregates.borrow_mut();
        let is_full = aggregates.len() >= MAX_AGGREGATES && !aggregates.contains_key(&target);
        let taken = !is_full
            && aggregates.entry(target).or_insert_with(|| Aggregate::new(method)).put(datapoint.value, datapoint.timestamp);
        increment(if taken { &self.stats.aggregated } else { &self.stats.late });
    }

    fn relay(&self, datapoint: &Datapoint<'_>) {
        if let Some(index) = self.ring.get(datapoint.name) {
            self.destinations[index].send(datapoint);
        }
    }

    /// Relays the aggregates that have changed.
    pub fn flush(&self) {
        for (target, aggregate) in &mut *self.aggregates.borrow_mut() {
            for (timestamp, value) in aggregate.computed().into_iter().filter(|(_, value)| value.is_finite()) {
                self.relay(&Datapoint { name: target, value, timestamp });
            }
        }
    }
}
