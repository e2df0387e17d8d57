//! The text format of events.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::time::Duration;

use super::event::{Event, Subject};
use super::log::Log;
use crate::reactor::system_event::{Phase, SystemEvent};

/// The first line of a log.
const HEADER: &str = "torsade-events 1";
/// The host field of an event without a host.
const NO_HOST: &str = "-";

/// The text is not an event log.
#[derive(Clone, Eq, PartialEq)]
pub struct ParseLogError {
    /// The line, from 1; 0 if a single event was parsed.
    line: usize,
    problem: &'static str,
}

impl fmt::Display for ParseLogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the event log: {}", self.line, self.problem)
    }
}

crate::debug_as_display!(ParseLogError);

impl Error for ParseLogError {}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.time.as_secs(), self.time.subsec_nanos());
        write!(f, "{} {seconds}.{nanos:09} {} {}", self.turn, self.subject, Escaped(&self.callback, '%'))?;
        if let Some(bytes) = self.bytes {
            write!(f, " bytes={bytes}")?;
        }
        if let Some(hash) = self.hash {
            write!(f, " hash={hash:016x}")?;
        }
        if let Some(reason) = &self.reason {
            write!(f, " reason={}", Escaped(reason, '%'))?;
        }
        Ok(())
    }
}

impl FromStr for Event {
    type Err = ParseLogError;

    fn from_str(line: &str) -> Result<Self, ParseLogError> {
        parse_event(line).map_err(|problem| ParseLogError { line: 0, problem })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection { id, peer } => write!(f, "connection/{id}/{}", Escaped(peer, '/')),
            Self::Connector { destination } => write!(f, "connector/{}", Escaped(destination, '/')),
            Self::Port { address } => write!(f, "port/{}", Escaped(address, '/')),
            Self::Process { id } => write!(f, "process/{id}"),
            Self::Reactor => f.write_str("reactor"),
            Self::Thread => f.write_str("thread"),
            Self::Timer { sequence } => write!(f, "timer/{sequence}"),
            Self::Trigger { phase, event } => write!(f, "trigger/{}/{}", name_of(&PHASES, *phase), name_of(&EVENTS, *event)),
        }
    }
}

/// The text described in [`event_log`](crate::event_log).
impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        for entry in self.entries() {
            let host = if entry.host.is_empty() { NO_HOST } else { &entry.host };
            writeln!(f, "{} {}", Escaped(host, '%'), entry.event)?;
        }
        Ok(())
    }
}

impl FromStr for Log {
    type Err = ParseLogError;

    fn from_str(text: &str) -> Result<Self, ParseLogError> {
        let mut lines = text.lines().enumerate();
        if lines.next().map(|(_, line)| line) != Some(HEADER) {
            return Err(ParseLogError { line: 1, problem: "a log begins with `torsade-events 1`" });
        }
        let mut log = Self::default();
        for (number, line) in lines {
            let at = |problem| ParseLogError { line: number + 1, problem };
            let (host, event) = line.split_once(' ').ok_or_else(|| at("there is only one field"))?;
            let host = if host == NO_HOST { String::new() } else { unescape(host).map_err(at)? };
            log.push(&host.into(), parse_event(event).map_err(at)?);
        }
        Ok(log)
    }
}

fn parse_event(line: &str) -> Result<Event, &'static str> {
    let mut fields = line.split(' ');
    let mut next = || fields.next().ok_or("a field is missing");
    let turn = next()?.parse().map_err(|_| "the turn is not a number")?;
    let time = parse_time(next()?)?;
    let subject = parse_subject(next()?)?;
    let callback = unescape(next()?)?;
    let mut event = Event { turn, time, ..Event::new(subject, callback) };
    for detail in fields {
        match detail.split_once('=').ok_or("a detail is not KEY=VALUE")? {
            ("bytes", value) => event.bytes = Some(value.parse().map_err(|_| "bytes is not a number")?),
            ("hash", value) => event.hash = Some(u64::from_str_radix(value, 16).map_err(|_| "hash is not a hexadecimal number")?),
            ("reason", value) => event.reason = Some(unescape(value)?.into()),
            _ => {}
        }
    }
    Ok(event)
}

fn parse_time(text: &str) -> Result<Duration, &'static str> {
    let problem = "the time is not seconds with nine decimals";
    let (seconds, nanos) = text.split_once('.').filter(|(_, nanos)| nanos.len() == 9).ok_or(problem)?;
    Ok(Duration::new(seconds.parse().map_err(|_| problem)?, nanos.parse().map_err(|_| problem)?))
}

fn parse_subject(text: &str) -> Result<Subject, &'static str> {
    let parts: Vec<&str> = text.split('/').collect();
    let number = |text: &str| text.parse::<u64>().map_err(|_| "a part of the subject is not a number");
    Ok(match parts.as_slice() {
        ["connection", id, peer] => Subject::Connection { id: number(id)?, peer: unescape(peer)? },
        ["connector", destination] => Subject::Connector { destination: unescape(destination)? },
        ["port", address] => Subject::Port { address: unescape(address)? },
        ["process", id] => Subject::Process { id: id.parse().map_err(|_| "a part of the subject is not a number")? },
        ["reactor"] => Subject::Reactor,
        ["thread"] => Subject::Thread,
        ["timer", sequence] => Subject::Timer { sequence: number(sequence)? },
        ["trigger", phase, event] => Subject::Trigger {
            phase: named(&PHASES, phase).ok_or("an unknown phase")?,
            event: named(&EVENTS, event).ok_or("an unknown system event")?,
        },
        _ => return Err("an unknown subject"),
    })
}

const PHASES: [(Phase, &str); 3] = [(Phase::Before, "before"), (Phase::During, "during"), (Phase::After, "after")];
const EVENTS: [(SystemEvent, &str); 2] = [(SystemEvent::Startup, "startup"), (SystemEvent::Shutdown, "shutdown")];

fn named<T: Copy>(names: &[(T, &str)], wanted: &str) -> Option<T> {
    names.iter().find(|(_, name)| *name == wanted).map(|(value, _)| *value)
}

fn name_of<T: PartialEq>(names: &[(T, &'static str)], wanted: T) -> &'static str {
    names.iter().find(|(value, _)| *value == wanted).map_or("", |(_, name)| name)
}

/// A field, or with `/` as the second field a part of a subject.
struct Escaped<'a>(&'a str, char);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c <= ' ' || c == '\x7f' || c == '%' || c == self.1 {
                write!(f, "%{:02X}", u32::from(c))?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

fn unescape(text: &str) -> Result<String, &'static str> {
    let mut pieces = text.split('%');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let code = piece.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        plain.push(code.filter(u8::is_ascii).map(char::from).ok_or("a % is not followed by two hexadecimal digits")?);
        plain.push_str(&piece[2..]);
    }
    Ok(plain)
}
