//! Many values of a stretch of time made one.

use std::collections::BTreeMap;

/// Values of so many seconds are aggregated into one.
const STEP: u32 = 10;

/// So many steps of one aggregate are kept.
const MAX_STEPS: usize = 5;

/// What becomes of the values.
#[derive(Clone, Copy, Debug)]
pub enum Method {
    Sum,
    Average,
    Min,
    Max,
    Last,
    Count,
}

impl Method {
    pub fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"sum" => Self::Sum,
            b"average" => Self::Average,
            b"min" => Self::Min,
            b"max" => Self::Max,
            b"last" => Self::Last,
            b"count" => Self::Count,
            _ => return None,
        })
    }

    fn compute(self, step: &Step) -> f64 {
        match self {
            Self::Sum => step.total,
            Self::Average => step.total / step.count,
            Self::Min => step.least,
            Self::Max => step.greatest,
            Self::Last => step.last,
            Self::Count => step.count,
        }
    }
}

/// The values of one step, of which no more is kept than the methods need.
#[derive(Debug)]
struct Step {
    count: f64,
    total: f64,
    least: f64,
    greatest: f64,
    last: f64,
    due: bool,
}

impl Step {
    fn new(value: f64) -> Self {
        Self { count: 1.0, total: value, least: value, greatest: value, last: value, due: true }
    }

    fn put(&mut self, value: f64) {
        self.count += 1.0;
        self.total += value;
        self.last = value;
        // Not `f64::min`, which takes either of 0 and -0; Python's takes the first.
        if value < self.least {
            self.least = value;
        }
        if value > self.greatest {
            self.greatest = value;
        }
        self.due = true;
    }
}

/// The steps of one aggregate; those that have changed are due.
#[derive(Debug)]
pub struct Aggregate {
    method: Method,
    steps: BTreeMap<u32, Step>,
}

impl Aggregate {
    pub fn new(method: Method) -> Self {
        Self { method, steps: BTreeMap::new() }
    }

    /// False for what comes too late.
    pub fn put(&mut self, value: f64, timestamp: u32) -> bool {
        let start = timestamp - timestamp % STEP;
        if let Some(step) = self.steps.get_mut(&start) {
            step.put(value);
            return true;
        }
        if self.steps.len() >= MAX_STEPS {
            if self.steps.first_key_value().is_some_and(|(oldest, _)| start < *oldest) {
                return false;
            }
            self.steps.pop_first();
        }
        self.steps.insert(start, Step::new(value));
        true
    }

    /// The values that are due, with the beginnings of their steps.
    pub fn computed(&mut self) -> Vec<(u32, f64)> {
        let method = self.method;
        let due = |step: &mut Step| std::mem::take(&mut step.due).then(|| method.compute(step));
        self.steps.iter_mut().filter_map(|(start, step)| Some((*start, due(step)?))).collect()
    }
}
