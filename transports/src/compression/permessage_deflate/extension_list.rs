//! The header `Sec-WebSocket-Extensions`, RFC 6455, 9.1.

use std::borrow::Cow;

/// An extension with its parameters, as they are written.
pub(super) struct Extension<'a> {
    pub(super) name: &'a str,
    pub(super) parameters: Vec<(&'a str, Option<Cow<'a, str>>)>,
}

/// Parses the header's value; `None` if its syntax is invalid. Elements of the list may be empty, as in every list of HTTP.
pub(super) fn read(header: &str) -> Option<Vec<Extension<'_>>> {
    let mut scanner = Scanner { rest: header };
    let mut extensions = Vec::new();
    loop {
        while scanner.skip(',') {}
        if scanner.rest.is_empty() {
            return Some(extensions);
        }
        let mut extension = Extension { name: scanner.token()?, parameters: Vec::new() };
        while scanner.skip(';') {
            let parameter = scanner.token()?;
            let value = if scanner.skip('=') { Some(scanner.value()?) } else { None };
            extension.parameters.push((parameter, value));
        }
        extensions.push(extension);
        if !scanner.skip(',') && !scanner.rest.is_empty() {
            return None;
        }
    }
}

struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    /// Skips spaces, and then `character` if it comes next; returns whether it did.
    fn skip(&mut self, character: char) -> bool {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        let found = self.rest.strip_prefix(character);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn token(&mut self) -> Option<&'a str> {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        let end = self.rest.find(|character| !is_token(character)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }

    /// A token, or a quoted string that contains one.
    fn value(&mut self) -> Option<Cow<'a, str>> {
        if !self.skip('"') {
            return self.token().map(Cow::Borrowed);
        }
        let mut value = String::new();
        let mut characters = self.rest.chars();
        loop {
            match characters.next()? {
                '"' => break,
                '\\' => value.push(characters.next()?),
                character => value.push(character),
            }
        }
        self.rest = characters.as_str();
        (!value.is_empty() && value.chars().all(is_token)).then_some(Cow::Owned(value))
    }
}

/// RFC 9110, 5.6.2.
fn is_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character)
}
