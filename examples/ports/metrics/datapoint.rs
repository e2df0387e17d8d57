//! A value at a time under a name: as a line, and in a batch.

/// One of them; its name has no blanks, and its value is finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Datapoint<'a> {
    pub name: &'a [u8],
    pub value: f64,
    /// Seconds since 1970.
    pub timestamp: u32,
}

impl<'a> Datapoint<'a> {
    /// Of the line `NAME VALUE TIMESTAMP`.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let mut words = line.split(|byte| is_blank(*byte)).filter(|word| !word.is_empty());
        let (name, value, timestamp) = (words.next()?, number(words.next()?)?, number(words.next()?)?.trunc());
        // In range `as` loses nothing.
        let timestamp = (0.0..=f64::from(u32::MAX)).contains(&timestamp).then_some(timestamp as u32)?;
        if words.next().is_some() {
            return None;
        }
        Self { name, value, timestamp }.checked()
    }

    /// All of a batch, or none.
    pub fn parse_batch(mut batch: &'a [u8]) -> Option<Vec<Self>> {
        let mut datapoints = Vec::new();
        while let Some((length, rest)) = batch.split_first() {
            let (name, rest) = rest.split_at_checked(usize::from(*length))?;
            let (value, rest) = rest.split_first_chunk()?;
            let (timestamp, rest) = rest.split_first_chunk()?;
            let (value, timestamp) = (f64::from_be_bytes(*value), u32::from_be_bytes(*timestamp));
            datapoints.push(Self { name, value, timestamp }.checked()?);
            batch = rest;
        }
        Some(datapoints)
    }

    fn checked(self) -> Option<Self> {
        (is_name(self.name) && self.value.is_finite()).then_some(self)
    }

    /// Appends it as a line. A value has six decimals at most: Python and Rust write a whole double differently.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let value = format!("{:.6}", self.value);
        let value = value.trim_end_matches('0').trim_end_matches('.');
        out.extend_from_slice(self.name);
        out.extend_from_slice(format!(" {value} {}\n", self.timestamp).as_bytes());
    }
}

/// Whether a metric may be called so.
pub fn is_name(name: &[u8]) -> bool {
    (1..=255).contains(&name.len()) && !name.iter().copied().any(is_blank)
}

/// Where Python's `bytes.split` splits; `u8::is_ascii_whitespace` lacks the vertical tab.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

/// Python's `float`, which takes underscores between digits; none for what is not finite.
fn number(text: &[u8]) -> Option<f64> {
    let text = str::from_utf8(text).ok()?;
    let number: f64 = if text.contains('_') { without_underscores(text)?.parse() } else { text.parse() }.ok()?;
    number.is_finite().then_some(number)
}

fn without_underscores(text: &str) -> Option<String> {
    let is_digit = |char: Option<char>| char.is_some_and(|char| char.is_ascii_digit());
    let mut places = text.match_indices('_').map(|(at, _)| at);
    let are_between_digits = places.all(|at| is_digit(text[..at].chars().next_back()) && is_digit(text[at + 1..].chars().next()));
    are_between_digits.then(|| text.replace('_', ""))
}
