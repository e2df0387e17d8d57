//! What random scripts are made of: a small file for each protocol.

use std::time::Duration;

use super::action::duration;
use super::bytes::unquote;
use super::place::{Endpoints, place};

/// Something to send, and to which address if not to all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Piece {
    pub place: Option<usize>,
    pub what: What,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum What {
    Fixed(Vec<u8>),
    /// As many bytes as within the range, each drawn out of these.
    Drawn(usize, usize, Vec<u8>),
}

/// How often an action is drawn, beside the others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Weights {
    pub open: u64,
    pub send: u64,
    /// A piece that is sent in two parts, with other steps between.
    pub cut: u64,
    pub end: u64,
    pub close: u64,
    pub reset: u64,
    pub pause: u64,
    /// Two connections that send at once.
    pub together: u64,
    /// A datagram to the program's first address.
    pub datagram: u64,
}

/// What random scripts are made of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grammar {
    /// How many connections there are at most at a time.
    pub connections: usize,
    /// How many steps a script has, before its connections are closed.
    pub steps: (usize, usize),
    /// To how many places connections are opened.
    pub places: usize,
    /// By which client endpoints, where it is not by TCP.
    pub endpoints: Endpoints,
    /// Of how many `{peer}`s a connection is accepted at first, beside those that are opened.
    pub peers: usize,
    /// How many connections the programs make by themselves, for clients; none are opened then.
    pub accept: usize,
    /// Whether they come again when they are lost.
    pub again: bool,
    /// How long is waited in each step that sends something, for programs with timers.
    pub wait: Option<Duration>,
    pub pieces: Vec<Piece>,
    pub weights: Weights,
}

impl Default for Grammar {
    fn default() -> Self {
        let weights = Weights { open: 3, send: 10, cut: 2, end: 1, close: 1, reset: 1, pause: 0, together: 0, datagram: 0 };
        Self {
            connections: 3,
            steps: (4, 16),
            places: 1,
            endpoints: Endpoints::new(),
            peers: 0,
            accept: 0,
            again: false,
            wait: None,
            pieces: Vec::new(),
            weights,
        }
    }
}

impl Grammar {
    /// Reads a grammar: see the program's documentation.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut grammar = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                grammar.line(line).map_err(|error| format!("line {}: {error}: {line}", number + 1))?;
            }
        }
        let has_piece = |place| grammar.pieces.iter().any(|piece| piece.place.is_none_or(|only| only == place));
        if !(1..=grammar.places).all(has_piece) || grammar.peers > 0 && grammar.pieces.iter().all(|piece| piece.place.is_some()) {
            return Err("nothing to send: a grammar wants at least one line `piece \"...\"` for each kind of connection".into());
        }
        Ok(grammar)
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match word {
            "connections" => self.connections = at_least(1, rest)?,
            "accept" => {
                let count = rest.strip_suffix(" again");
                (self.accept, self.again) = (at_least(1, count.unwrap_or(rest).trim())?, count.is_some());
            }
            "places" => self.places = at_least(1, rest)?,
            "place" => {
                let (number, endpoint) = place(rest)?;
                self.places = self.places.max(number);
                self.endpoints.insert(number, endpoint);
            }
            "peers" => self.peers = at_least(1, rest)?,
            "wait" => self.wait = Some(duration(rest)?),
            "steps" => self.steps = range(rest)?,
            "piece" => {
                let (place, rest) = placed(rest)?;
                self.pieces.push(Piece { place, what: What::Fixed(whole(rest)?) });
            }
            "bytes" => {
                let (numbers, alphabet) = rest.split_once(char::is_whitespace).ok_or("write: bytes 1..20 \"abc\"")?;
                let (least, most) = range(numbers)?;
                let (place, alphabet) = placed(alphabet.trim())?;
                self.pieces.push(Piece { place, what: What::Drawn(least, most, whole(alphabet)?) });
            }
            "weight" => {
                let (action, weight) = rest.split_once(char::is_whitespace).ok_or("write: weight send 10")?;
                *self.weights.of(action)? = u64::from(weight.trim().parse::<u16>().map_err(|_| "a weight is a small number")?);
            }
            _ => {
                return Err(format!(
                    "{word:?} is not one of connections, places, place, peers, accept, steps, wait, piece, bytes, weight"
                ));
            }
        }
        Ok(())
    }
}

impl Weights {
    fn of(&mut self, action: &str) -> Result<&mut u64, String> {
        Ok(match action {
            "open" => &mut self.open,
            "send" => &mut self.send,
            "cut" => &mut self.cut,
            "end" => &mut self.end,
            "close" => &mut self.close,
            "reset" => &mut self.reset,
            "pause" => &mut self.pause,
            "together" => &mut self.together,
            "datagram" => &mut self.datagram,
            _ => return Err(format!("{action:?} is not one of open, send, cut, end, close, reset, pause, together, datagram")),
        })
    }
}

/// The number of an address, if one stands in front.
fn placed(text: &str) -> Result<(Option<usize>, &str), String> {
    match text.split_once(char::is_whitespace) {
        Some((number, rest)) if !text.starts_with('"') => Ok((Some(at_least(1, number)?), rest.trim())),
        _ => Ok((None, text)),
    }
}

fn whole(text: &str) -> Result<Vec<u8>, String> {
    match unquote(text)? {
        (bytes, rest) if rest.trim().is_empty() && !bytes.is_empty() => Ok(bytes),
        (bytes, _) if bytes.is_empty() => Err("it is empty".into()),
        (_, rest) => Err(format!("what is {rest:?} for?")),
    }
}

fn at_least(least: usize, text: &str) -> Result<usize, String> {
    let number: Option<u16> = text.parse().ok();
    number
        .map(usize::from)
        .filter(|number| *number >= least)
        .ok_or_else(|| format!("{text:?} is not a number from {least} to 65535"))
}

fn range(text: &str) -> Result<(usize, usize), String> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let (least, most) = (at_least(1, least)?, at_least(1, most)?);
    if least <= most { Ok((least, most)) } else { Err(format!("{least} is more than {most}")) }
}
