//! What became of each connection or pair: a line of JSON each, blurred where that is asked for.

use std::cell::RefCell;
use std::io::Write;
use std::time::Duration;

use torsade::report_error;

/// How it went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mood {
    /// Left before its handshake.
    Empty,
    /// Sent no handshake.
    Errory,
    /// Sent before it had a partner.
    Impatient,
    /// Left before it had a partner.
    Lonely,
    /// Another one of its side was met.
    Redundant,
    /// The two met.
    Happy,
}

impl Mood {
    /// Its name in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Errory => "errory",
            Self::Impatient => "impatient",
            Self::Lonely => "lonely",
            Self::Redundant => "redundant",
            Self::Happy => "happy",
        }
    }
}

/// Where records are written to.
pub struct Usage {
    log: Option<RefCell<Box<dyn Write>>>,
    /// Times are cut to multiples of so many seconds; 0 is not to blur.
    blur: u64,
    /// The time since 1970 at which the reactor's clock was 0.
    epoch: Duration,
}

impl Usage {
    pub fn new(log: Option<Box<dyn Write>>, blur: u64, epoch: Duration) -> Self {
        Self { log: log.map(RefCell::new), blur, epoch }
    }

    /// Writes a record; all times are the reactor's. Of a pair, `started` is the one's who has waited, and `bytes` what both have
    /// sent.
    pub fn record(&self, now: Duration, started: Duration, partner_started: Option<Duration>, bytes: u64, mood: Mood) {
        let Some(log) = &self.log else { return };
        let first = partner_started.map_or(started, |partner| started.min(partner));
        let waiting = partner_started.map_or("null".into(), |partner| format!("{:?}", partner.abs_diff(started).as_secs_f64()));
        let total = now.saturating_sub(first).as_secs_f64();
        let (began, bytes) = self.blurred((self.epoch + started).as_secs_f64(), bytes);
        let mood = mood.name();
        let line = format!(
            "{{\"started\": {began:?}, \"total_time\": {total:?}, \"waiting_time\": {waiting}, \"total_bytes\": {bytes}, \"mood\": \"{mood}\"}}\n"
        );
        let mut log = log.borrow_mut();
        if let Err(error) = log.write_all(line.as_bytes()).and_then(|()| log.flush()) {
            report_error("the usage log", format_args!("a record is lost: {error}: {}", line.trim_end()));
        }
    }

    fn blurred(&self, started: f64, bytes: u64) -> (f64, u64) {
        if self.blur == 0 {
            return (started, bytes);
        }
        let blur = self.blur as f64;
        (blur * (started / blur).floor(), blur_size(bytes))
    }
}

/// A size without its lower digits, rounded up.
pub fn blur_size(size: u64) -> u64 {
    let step = match size {
        0..1_000_000 => 10_000,
        1_000_000..1_000_000_000 => 1_000_000,
        _ => 100_000_000,
    };
    size.div_ceil(step) * step
}
