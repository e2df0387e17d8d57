//! The command line, as Twisted's `usage.Options` of the original has it.

use std::path::PathBuf;
use std::time::Duration;

use torsade::prelude::*;

/// What is said on the command line, or else.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where lines come in, and datagrams.
    pub lines: String,
    pub batches: String,
    pub status: String,
    pub rules: Option<PathBuf>,
    /// Between aggregations.
    pub interval: Duration,
    /// The most datapoints that wait for a destination.
    pub queue: usize,
    /// Until a silent connection is closed.
    pub idle: Option<Duration>,
    /// Names and endpoints of those who are given datapoints.
    pub destinations: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lines: "127.0.0.1:2003".into(),
            batches: "127.0.0.1:2004".into(),
            status: "127.0.0.1:2005".into(),
            rules: None,
            interval: Duration::from_secs(10),
            queue: 10_000,
            idle: None,
            destinations: Vec::new(),
        }
    }
}

impl Options {
    /// Reads `--NAME VALUE` and so on.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let (mut options, mut arguments) = (Self::default(), arguments.into_iter());
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} wants a value"))?;
            match &name[..] {
                "--lines" => options.lines = value,
                "--batches" => options.batches = value,
                "--status" => options.status = value,
                "--rules" => options.rules = Some(value.into()),
                "--interval" => options.interval = seconds(&value)?,
                "--queue" => options.queue = value.parse().map_err(|_| format!("{value} is not a number of datapoints"))?,
                "--idle" => options.idle = Some(seconds(&value)?),
                "--destination" => {
                    let (name, endpoint) = value.split_once('=').ok_or_else(|| format!("{value} is not NAME=HOST:PORT"))?;
                    options.destinations.push((name.into(), endpoint.into()));
                }
                _ => return Err(format!("there is no option {name}").into()),
            }
        }
        Ok(options)
    }
}

fn seconds(text: &str) -> Result<Duration> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Ok(seconds.filter(|time| !time.is_zero()).ok_or_else(|| format!("{text} is not a number of seconds"))?)
}
