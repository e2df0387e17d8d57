//! As much JSON as the vectors need, so that no test depends on another parser.

use std::fmt;

/// A JSON value. The numbers in the vectors are exact as `f64`.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

impl Json {
    /// Parses a whole text; panics on anything Python's `json` would not write.
    pub fn parse(text: &str) -> Self {
        let mut parser = Parser { bytes: text.as_bytes(), at: 0 };
        let value = parser.value();
        assert_eq!(parser.at, parser.bytes.len(), "text after the value");
        value
    }

    /// The value of a key in a map.
    pub fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Self::Map(pairs) => pairs.iter().find(|(known, _)| known == key).map(|(_, value)| value),
            _ => None,
        }
    }

    pub fn list(&self) -> &[Json] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            _ => "",
        }
    }

    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub fn index(&self) -> usize {
        self.number().expect("a number") as usize
    }

    pub fn is_true(&self) -> bool {
        *self == Self::Bool(true)
    }

    /// Bytes from hexadecimal.
    pub fn hex(&self) -> Vec<u8> {
        let digits = self.text().as_bytes();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<usize> for Json {
    fn from(number: usize) -> Self {
        Self::Number(number as f64)
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
            Self::Map(pairs) => {
                f.write_str("{")?;
                for (index, (key, value)) in pairs.iter().enumerate() {
                    write!(f, "{}{key:?}:{value}", if index == 0 { "" } else { "," })?;
                }
                f.write_str("}")
            }
        }
    }
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn value(&mut self) -> Json {
        match self.peek() {
            b'{' => Json::Map(self.items(b'}', |parser| {
                let key = parser.string();
                assert_eq!(parser.next(), b':');
                (key, parser.value())
            })),
            b'[' => Json::List(self.items(b']', Self::value)),
            b'"' => Json::Text(self.string()),
            b'n' => self.word("null", Json::Null),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            _ => self.number(),
        }
    }

    fn items<T>(&mut self, end: u8, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        self.next();
        let mut items = Vec::new();
        while self.peek() != end {
            items.push(item(self));
            if self.peek() == b',' {
                self.next();
            }
        }
        self.next();
        items
    }

    fn string(&mut self) -> String {
        assert_eq!(self.next(), b'"');
        let mut text = String::new();
        loop {
            match self.next() {
                b'"' => return text,
                b'\\' => match self.next() {
                    b'n' => text.push('\n'),
                    b'r' => text.push('\r'),
                    b't' => text.push('\t'),
                    b'u' => {
                        let digits = std::str::from_utf8(&self.bytes[self.at..self.at + 4]).unwrap();
                        text.push(char::from_u32(u32::from_str_radix(digits, 16).unwrap()).unwrap());
                        self.at += 4;
                    }
                    other => text.push(char::from(other)),
                },
                other => text.push(char::from(other)),
            }
        }
    }

    fn number(&mut self) -> Json {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().take_while(|byte| b"+-.0123456789eE".contains(byte)).count();
        self.at += length;
        Json::Number(std::str::from_utf8(&rest[..length]).unwrap().parse().expect("a number"))
    }

    fn word(&mut self, word: &str, value: Json) -> Json {
        assert!(self.bytes[self.at..].starts_with(word.as_bytes()));
        self.at += word.len();
        value
    }

    fn peek(&self) -> u8 {
        self.bytes[self.at]
    }

    fn next(&mut self) -> u8 {
        self.at += 1;
        self.bytes[self.at - 1]
    }
}
