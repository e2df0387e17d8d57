//! What the checker does, one line of a script each.

use std::fmt;
use std::time::Duration;

use super::bytes::{unquote, written};
use super::place::number_of;

/// One thing that the checker does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// Connects to the program, at its first, second, .. `{listen}`.
    Open(String, usize),
    /// Waits for the program's next connection to the first, second, .. `{peer}`.
    Accept(String, usize),
    Send(String, Vec<u8>),
    /// Waits until these bytes have come, behind those expected before.
    Expect(String, Vec<u8>),
    /// Ends the checker's stream (FIN), and goes on reading.
    End(String),
    Close(String),
    Reset(String),
    /// Sends a datagram to the program's first, second, .. `{listen}`.
    Datagram(usize, Vec<u8>),
    Pause(String),
    Resume(String),
    /// Lets time pass, for programs with timers.
    Wait(Duration),
    /// Waits for the end of the program itself.
    Ended,
}

impl Action {
    /// The connection that it is about.
    pub fn connection(&self) -> Option<&str> {
        match self {
            Self::Wait(_) | Self::Ended | Self::Datagram(..) => None,
            Self::Open(name, _) | Self::Accept(name, _) | Self::Send(name, _) | Self::Expect(name, _) => Some(name),
            Self::End(name) | Self::Close(name) | Self::Reset(name) | Self::Pause(name) | Self::Resume(name) => Some(name),
        }
    }

    /// Whether it makes the connection that it is about.
    pub fn begins(&self) -> bool {
        matches!(self, Self::Open(..) | Self::Accept(..))
    }

    /// Reads a line of a script.
    pub fn parse(line: &str) -> Result<Self, String> {
        let (verb, rest) = split_word(line);
        match verb {
            "wait" => return duration(rest).map(Self::Wait),
            "ended" if rest.is_empty() => return Ok(Self::Ended),
            "datagram" => return datagram(rest),
            _ => {}
        }
        let (name, rest) = split_word(rest);
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(format!("{verb:?} wants the name of a connection, of letters, digits and _, not {name:?}"));
        }
        let name = name.to_owned();
        if let "open" | "accept" = verb {
            let place = if rest.is_empty() { 1 } else { number_of(rest)? };
            return Ok(if verb == "open" { Self::Open(name, place) } else { Self::Accept(name, place) });
        }
        if let "send" | "expect" = verb {
            let (bytes, rest) = unquote(rest)?;
            nothing_behind(rest)?;
            return Ok(if verb == "send" { Self::Send(name, bytes) } else { Self::Expect(name, bytes) });
        }
        let action = match verb {
            "end" => Self::End(name),
            "close" => Self::Close(name),
            "reset" => Self::Reset(name),
            "pause" => Self::Pause(name),
            "resume" => Self::Resume(name),
            _ => {
                return Err(format!(
                    "{verb:?} is not one of place, open, accept, send, expect, end, close, reset, pause, resume, datagram, \
                     wait, ended"
                ));
            }
        };
        nothing_behind(rest)?;
        Ok(action)
    }
}

/// `"text"`, `2 "text"`: to the first address unless said otherwise.
fn datagram(rest: &str) -> Result<Action, String> {
    let (place, text) = if rest.starts_with('"') { ("1", rest) } else { split_word(rest) };
    let (bytes, rest) = unquote(text)?;
    nothing_behind(rest)?;
    Ok(Action::Datagram(number_of(place)?, bytes))
}

fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

fn nothing_behind(rest: &str) -> Result<(), String> {
    let rest = rest.trim();
    if rest.is_empty() || rest.starts_with('#') { Ok(()) } else { Err(format!("what is {rest:?} for?")) }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(name, 1) => write!(f, "open {name}"),
            Self::Open(name, place) => write!(f, "open {name} {place}"),
            Self::Accept(name, 1) => write!(f, "accept {name}"),
            Self::Accept(name, place) => write!(f, "accept {name} {place}"),
            Self::Send(name, bytes) => write!(f, "send {name} {}", written(bytes)),
            Self::Expect(name, bytes) => write!(f, "expect {name} {}", written(bytes)),
            Self::End(name) => write!(f, "end {name}"),
            Self::Close(name) => write!(f, "close {name}"),
            Self::Reset(name) => write!(f, "reset {name}"),
            Self::Pause(name) => write!(f, "pause {name}"),
            Self::Resume(name) => write!(f, "resume {name}"),
            Self::Datagram(1, bytes) => write!(f, "datagram {}", written(bytes)),
            Self::Datagram(place, bytes) => write!(f, "datagram {place} {}", written(bytes)),
            Self::Wait(time) => write!(f, "wait {}ms", time.as_millis()),
            Self::Ended => f.write_str("ended"),
        }
    }
}

/// A time: `200ms`, `3s`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: write 200ms or 3s");
    let (digits, unit) = text.split_at(text.find(|char: char| !char.is_ascii_digit()).ok_or_else(wrong)?);
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    match unit {
        "ms" if number <= 600_000 => Ok(Duration::from_millis(number)),
        "s" if number <= 600 => Ok(Duration::from_secs(number)),
        _ => Err(wrong()),
    }
}
