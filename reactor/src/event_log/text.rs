//! Events as text, and back.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::time::Duration;

use super::event::{Event, Subject};
use super::log::Log;
use crate::reactor::system_event::{Phase, SystemEvent};

/// The first line of a log.
const HEADER: &str = "torsade-events 1";
/// How an event without a host says so.
const NO_HOST: &str = "-";

/// A text is not an event log.
#[derive(Clone, Eq, PartialEq)]
pub struct ParseLogError {
    /// The line, counted from 1; 0 where one event alone was parsed.
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

/// A field, or with `/` as the second character a part of a subject.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subject_and_detail_comes_back_from_its_text() {
        let odd = "a b/%\n\u{7f}é";
        let subjects = [
            Subject::Connection { id: u64::MAX, peer: odd.into() },
            Subject::Connector { destination: "db.example:5432".into() },
            Subject::Port { address: "[::]:8000".into() },
            Subject::Reactor,
            Subject::Thread,
            Subject::Timer { sequence: 7 },
            Subject::Trigger { phase: Phase::During, event: SystemEvent::Shutdown },
        ];
        let mut log = Log::default();
        for subject in subjects {
            let event = Event { turn: 3, time: Duration::from_nanos(1_000_000_007), ..Event::new(subject, "called") };
            log.push(&"10.0.0.1".into(), event.clone().with_data(b"x"));
            log.push(&"".into(), event.with_reason(odd));
        }
        let text = log.to_string();
        assert_eq!(text.parse(), Ok(log));
        assert!(text.starts_with("torsade-events 1\n10.0.0.1 3 1.000000007 connection/18446744073709551615/a%20b%2F%25%0A%7Fé "));
    }

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(super::super::fingerprint(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(super::super::fingerprint(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn what_is_not_a_log_is_refused_with_its_line() {
        let parse = |text: &str| text.parse::<Log>().unwrap_err().to_string();
        assert_eq!(parse("torsade-events 2\n"), "line 1 of the event log: a log begins with `torsade-events 1`");
        assert_eq!(
            parse("torsade-events 1\n- 0 0.0 thread called\n"),
            "line 2 of the event log: the time is not seconds with nine decimals"
        );
        assert!(parse("torsade-events 1\n- 1 0.000000000 timer/x called").contains("number"));
        assert!(parse("torsade-events 1\n- 1 0.000000000 thread ca%4").contains('%'));
        assert!("1 0.000000000 thread called new=1".parse::<Event>().is_ok(), "unknown details are skipped");
    }
}
