//! What is done to both programs: steps, and the lines that they are written in.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::bytes::{quoted, unquote};

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

/// What is done at once: several actions are concurrent, and what they do to different connections has no order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step(pub Vec<Action>);

/// Steps, one after the other.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Script(pub Vec<Step>);

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

    fn parse(line: &str) -> Result<Self, String> {
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
            let place = if rest.is_empty() { Ok(1) } else { rest.parse() };
            let place = place.ok().filter(|place| *place > 0).ok_or_else(|| format!("{rest:?} is not the number of a place"))?;
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
                    "{verb:?} is none of open, accept, send, expect, end, close, reset, pause, resume, datagram, wait, ended"
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
    let place = place.parse().ok().filter(|place| *place > 0).ok_or_else(|| format!("{place:?} is not the number of a place"))?;
    let (bytes, rest) = unquote(text)?;
    nothing_behind(rest)?;
    Ok(Action::Datagram(place, bytes))
}

fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

fn nothing_behind(rest: &str) -> Result<(), String> {
    let rest = rest.trim();
    if rest.is_empty() || rest.starts_with('#') { Ok(()) } else { Err(format!("what is {rest:?} for?")) }
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

impl Step {
    /// Whether it acts on several connections, so that what a third one hears of them has no order.
    pub fn is_concurrent(&self) -> bool {
        self.0.iter().filter_map(Action::connection).collect::<BTreeSet<_>>().len() > 1
    }
}

impl Script {
    /// Reads a script: one action a line; `&` before it has it done together with the line before; `#` begins a comment.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut script = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let at_line = |error| format!("line {}: {error}: {line}", number + 1);
            let (joined, action) = match line.strip_prefix('&') {
                Some(rest) => (true, rest.trim_start()),
                None => (false, line),
            };
            let action = Action::parse(action).map_err(at_line)?;
            match script.0.last_mut() {
                Some(step) if joined => step.0.push(action),
                None if joined => return Err(at_line("& joins it to the line before, and there is none".into())),
                _ => script.0.push(Step(vec![action])),
            }
        }
        script.check()?;
        Ok(script)
    }

    /// That each connection is used between its beginning and its end.
    fn check(&self) -> Result<(), String> {
        let mut possible = self.clone();
        possible.keep_possible();
        match self
            .0
            .iter()
            .zip(possible.0.iter().map(Some).chain(std::iter::repeat(None)))
            .find(|(step, kept)| Some(*step) != *kept)
        {
            None => Ok(()),
            Some((step, _)) => Err(format!(
                "not possible here: {}: a connection is opened or accepted once, in a step before those that use it, and not used after close or reset",
                step.to_string().replace('\n', "; ")
            )),
        }
    }

    /// Drops what cannot be done: actions on connections that are not there, or that the checker has ended.
    pub fn keep_possible(&mut self) {
        let (mut begun, mut here, mut ended) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for step in &mut self.0 {
            let before = here.clone();
            step.0.retain(|action| {
                let Some(name) = action.connection().map(str::to_owned) else { return true };
                if action.begins() {
                    here.insert(name.clone());
                    return begun.insert(name);
                }
                let writes = matches!(action, Action::Send(..) | Action::End(_));
                let possible = before.contains(&name) && here.contains(&name) && !(writes && ended.contains(&name));
                match action {
                    Action::End(_) => drop(ended.insert(name)),
                    Action::Close(_) | Action::Reset(_) => drop(here.remove(&name)),
                    _ => {}
                }
                possible
            });
        }
        self.0.retain(|step| !step.0.is_empty());
    }

    /// The connections that are there after the last step, in the order of their names.
    pub fn left_open(&self) -> BTreeSet<String> {
        let mut open = BTreeSet::new();
        for action in self.0.iter().flat_map(|step| &step.0) {
            match action {
                Action::Open(name, _) | Action::Accept(name, _) => drop(open.insert(name.clone())),
                Action::Close(name) | Action::Reset(name) => drop(open.remove(name)),
                _ => {}
            }
        }
        open
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(name, 1) => write!(f, "open {name}"),
            Self::Open(name, place) => write!(f, "open {name} {place}"),
            Self::Accept(name, 1) => write!(f, "accept {name}"),
            Self::Accept(name, place) => write!(f, "accept {name} {place}"),
            Self::Send(name, bytes) => write!(f, "send {name} {}", quoted(bytes)),
            Self::Expect(name, bytes) => write!(f, "expect {name} {}", quoted(bytes)),
            Self::End(name) => write!(f, "end {name}"),
            Self::Close(name) => write!(f, "close {name}"),
            Self::Reset(name) => write!(f, "reset {name}"),
            Self::Pause(name) => write!(f, "pause {name}"),
            Self::Resume(name) => write!(f, "resume {name}"),
            Self::Datagram(1, bytes) => write!(f, "datagram {}", quoted(bytes)),
            Self::Datagram(place, bytes) => write!(f, "datagram {place} {}", quoted(bytes)),
            Self::Wait(time) => write!(f, "wait {}ms", time.as_millis()),
            Self::Ended => f.write_str("ended"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, action) in self.0.iter().enumerate() {
            write!(f, "{}{action}", if number == 0 { "" } else { "\n& " })?;
        }
        Ok(())
    }
}

/// A script that can be read again.
impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}
