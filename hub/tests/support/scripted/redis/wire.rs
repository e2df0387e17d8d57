//! Parsing commands, and writing values.

use std::fmt;

use torsade::prelude::*;

/// What Redis answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Ok,
    Number(i64),
    Text(Vec<u8>),
    Error(String),
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
    Push(Vec<Self>),
}

impl Value {
    pub fn text(text: impl AsRef<[u8]>) -> Self {
        Self::Text(text.as_ref().to_vec())
    }

    pub fn error(text: &str) -> Self {
        Self::Error(text.to_owned())
    }

    /// Writes it as RESP3.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        let mut head = |kind: char, rest: &dyn fmt::Display| bytes.extend_from_slice(format!("{kind}{rest}\r\n").as_bytes());
        match self {
            Self::Null => head('_', &""),
            Self::Ok => head('+', &"OK"),
            Self::Number(number) => head(':', number),
            Self::Error(text) => head('-', text),
            Self::Text(text) => {
                head('$', &text.len());
                bytes.extend_from_slice(text);
                bytes.extend_from_slice(b"\r\n");
            }
            Self::List(items) | Self::Push(items) => {
                head(if matches!(self, Self::Push(_)) { '>' } else { '*' }, &items.len());
                items.iter().for_each(|item| item.encode(bytes));
            }
            Self::Map(pairs) => {
                head('%', &pairs.len());
                for (key, value) in pairs {
                    key.encode(bytes);
                    value.encode(bytes);
                }
            }
        }
    }
}

/// Commands as clients send them: arrays of strings.
#[derive(Default)]
pub struct CommandDecoder;

/// Bytes that are no command.
#[derive(Debug)]
pub struct NoCommand;

impl Decoder for CommandDecoder {
    type Frame<'a> = Vec<Vec<u8>>;
    type Error = NoCommand;

    const MAX_LENGTH: usize = 32 * 1024 * 1024;

    fn decode<'a>(&mut self, data: &'a [u8], _: usize) -> Result<Decoded<Self::Frame<'a>>, FrameError<NoCommand>> {
        let Some((count, mut at)) = number(data, 0, b'*')? else { return Ok(Decoded::Incomplete { needed: 0 }) };
        let mut parts = Vec::new();
        for _ in 0..count {
            let Some((length, start)) = number(data, at, b'$')? else { return Ok(Decoded::Incomplete { needed: 0 }) };
            let Some(part) = data.get(start..start + length).filter(|_| data.len() >= start + length + 2) else {
                return Ok(Decoded::Incomplete { needed: start + length + 2 });
            };
            parts.push(part.to_vec());
            at = start + length + 2;
        }
        Ok(Decoded::Frame { frame: parts, used: at })
    }
}

/// A number in a line of this kind, and where the next line begins.
fn number(data: &[u8], at: usize, kind: u8) -> Result<Option<(usize, usize)>, NoCommand> {
    let Some(line) = data.get(at..) else { return Ok(None) };
    let Some(end) = line.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let text = line[..end].strip_suffix(b"\r").and_then(|line| line.strip_prefix(&[kind])).ok_or(NoCommand)?;
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(NoCommand)?;
    Ok(Some((number, at + end + 1)))
}

impl fmt::Display for NoCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command is an array of strings")
    }
}

impl std::error::Error for NoCommand {}
