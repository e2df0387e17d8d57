//! The parts of an endpoint's text, and how a part is quoted.

use torsade_protocols::{EndpointError, EndpointProblem};

/// Quotes text, such as a path, for use in an endpoint's text.
///
/// It puts a backslash before each colon, equals sign and backslash. Twisted's own function leaves equals signs unquoted, so that
/// a path with one is read as `key=value`; but Twisted reads what this function writes.
///
/// # Examples
/// ```
/// use torsade::{ServerEndpoint, quote_string_argument};
///
/// let key = r"C:\keys\server.pem";
/// let text = format!("ssl:443:privateKey={}", quote_string_argument(key));
/// assert_eq!(text, r"ssl:443:privateKey=C\:\\keys\\server.pem");
/// assert!(text.parse::<ServerEndpoint>().is_ok());
/// ```
#[doc(alias = "quoteStringArgument")]
#[must_use]
pub fn quote_string_argument(argument: &str) -> String {
    let mut quoted = String::with_capacity(argument.len());
    for character in argument.chars() {
        if matches!(character, '\\' | ':' | '=') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted
}

/// A piece of the text, still quoted, and its position.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    pub(super) quoted: &'a str,
    pub(super) at: usize,
}

impl Part<'_> {
    /// The unquoted text.
    pub(super) fn text(&self) -> String {
        let mut text = String::with_capacity(self.quoted.len());
        let mut characters = self.quoted.chars();
        while let Some(character) = characters.next() {
            text.extend(if character == '\\' { characters.next() } else { Some(character) });
        }
        text
    }

    /// Where the byte `position` of the unquoted text is in the whole text.
    pub(super) fn position_of(&self, position: usize) -> usize {
        let (mut unquoted, mut quoting) = (0, false);
        for (at, character) in self.quoted.char_indices() {
            quoting = character == '\\' && !quoting;
            if !quoting {
                if unquoted >= position {
                    return self.at + at;
                }
                unquoted += character.len_utf8();
            }
        }
        self.at + self.quoted.len()
    }
}

/// The parts of a text: those without an equals sign, in order, and those with one.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts<'a> {
    pub(super) positional: Vec<Part<'a>>,
    pub(super) keyed: Vec<(Part<'a>, Part<'a>)>,
}

/// Splits a text at its colons, and each part at its first equals sign, except those after a backslash.
#[doc(alias = "_parse")]
pub(super) fn split(text: &str) -> Result<Parts<'_>, EndpointError> {
    let mut parts = Parts::default();
    let (mut begin, mut key, mut quoting) = (0, None, None);
    for (at, character) in text.char_indices() {
        match character {
            _ if quoting.is_some() => quoting = None,
            '\\' => quoting = Some(at),
            ':' => {
                parts.add(key.take(), Part { quoted: &text[begin..at], at: begin });
                begin = at + 1;
            }
            '=' if key.is_none() => {
                key = Some(Part { quoted: &text[begin..at], at: begin });
                begin = at + 1;
            }
            _ => {}
        }
    }
    if let Some(at) = quoting {
        let remedy = r"write two, \\, for one";
        return Err(EndpointError::new(text, at, EndpointProblem::Unfinished, remedy));
    }
    parts.add(key, Part { quoted: &text[begin..], at: begin });
    Ok(parts)
}

impl<'a> Parts<'a> {
    fn add(&mut self, key: Option<Part<'a>>, part: Part<'a>) {
        match key {
            Some(key) => self.keyed.push((key, part)),
            None => self.positional.push(part),
        }
    }

    /// The first unnamed part, which is the type; `None` if it is empty.
    pub(super) fn kind(&self) -> Option<Part<'a>> {
        self.positional.first().copied().filter(|part| !part.quoted.is_empty())
    }

    /// Takes out a layer: its type, the `behind` unnamed parts after it, and the named parts that it has. The rest is another
    /// endpoint.
    pub(super) fn take_layer(&mut self, behind: usize, is_own: impl Fn(&str) -> bool) -> Self {
        let end = self.positional.len().min(behind.saturating_add(1));
        let positional = self.positional.drain(..end).skip(1).collect();
        let (keyed, inner) = std::mem::take(&mut self.keyed).into_iter().partition(|(key, _)| is_own(&key.text()));
        self.keyed = inner;
        Self { positional, keyed }
    }

    /// The unparsed text, if no part has a name.
    pub(super) fn plain(&self) -> Option<String> {
        let quoted: Vec<_> = self.positional.iter().map(|part| part.quoted).collect();
        self.keyed.is_empty().then(|| quoted.join(":"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts_of(text: &str) -> (Vec<String>, Vec<(String, String)>) {
        let parts = split(text).unwrap();
        let keyed = parts.keyed.iter().map(|(key, value)| (key.text(), value.text())).collect();
        (parts.positional.iter().map(Part::text).collect(), keyed)
    }

    #[test]
    fn a_text_is_taken_apart_at_colons_and_first_equals_signs_that_are_not_quoted() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(
            parts_of(r"a:b\:c:d=e=f:g\=h:\\"),
            (vec!["a".into(), "b:c".into(), "g=h".into(), r"\".into()], vec![pair("d", "e=f")])
        );
        assert_eq!(parts_of(""), (vec![String::new()], vec![]));
        assert_eq!(parts_of("=:"), (vec![String::new()], vec![pair("", "")]));
        assert_eq!(split(r"tcp:80\").unwrap_err().position(), 6);
        assert_eq!(split(r"tcp:80\\\").unwrap_err().position(), 8);
    }

    #[test]
    fn a_byte_of_what_a_part_says_is_found_in_the_whole_text() {
        let parts = split(r"x:k=tcp\:ü\\\:80").unwrap();
        let value = parts.keyed[0].1;
        assert_eq!(value.text(), r"tcp:ü\:80");
        let found: Vec<_> = [0, 3, 4, 6, 7, 8, 10, 99].into_iter().map(|position| value.position_of(position)).collect();
        assert_eq!(found, [4, 8, 9, 12, 14, 15, 17, 17]);
    }
}
