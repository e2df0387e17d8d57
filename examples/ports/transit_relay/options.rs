//! The command line, which is the original's as far as it goes.

use std::fs::File;
use std::io::{Write, stderr, stdout};
use std::time::{Duration, SystemTime};

use torsade::prelude::*;

use super::usage::Usage;

const USAGE: &str = "usage: port_transit_relay [--port ENDPOINT] [--blur-usage SECONDS] [--log-fd NUMBER]";

/// What is asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// Where to listen, as Twisted writes it.
    pub port: String,
    /// 0 is not to blur.
    pub blur_usage: u64,
    /// The descriptor that records are written to.
    pub log_fd: Option<u32>,
}

impl Options {
    /// Reads `--port X`, `--port=X` and `-p X`, and so on.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut options = Self { port: r"tcp:4001:interface=\:\:".into(), blur_usage: 0, log_fd: None };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (&argument[..], arguments.next()),
            };
            let value = value.ok_or_else(|| format!("{name} wants a value\n{USAGE}"))?;
            let number = |error| format!("{name}: {value:?} is not a number: {error}");
            match name {
                "--port" | "-p" => options.port = value,
                "--blur-usage" => options.blur_usage = value.parse().map_err(number)?,
                "--log-fd" => options.log_fd = Some(value.parse().map_err(number)?),
                _ => return Err(format!("{name} is not one of the options\n{USAGE}").into()),
            }
        }
        Ok(options)
    }

    /// Where records go, with the clock of now.
    pub fn usage(&self) -> Result<Usage> {
        let log: Option<Box<dyn Write>> = match self.log_fd {
            None => None,
            Some(1) => Some(Box::new(stdout())),
            Some(2) => Some(Box::new(stderr())),
            Some(number) => {
                let path = format!("/dev/fd/{number}");
                let file = File::options().append(true).open(&path);
                let why = |error| format!("--log-fd {number}: {path}: {error}: it has to be open, and a file or a pipe");
                Some(Box::new(file.map_err(why)?))
            }
        };
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Ok(Usage::new(log, self.blur_usage, epoch))
    }
}
