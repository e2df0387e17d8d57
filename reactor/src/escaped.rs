//! Foreign text made safe for a log or a terminal.

use std::fmt::{self, Write};

/// Displays a value with its control characters escaped: `ESC` as `\u{1b}`, a line feed as `\n`.
///
/// An error's text often quotes what a peer has sent. Printed unchanged, it could forge log lines or control the terminal that
/// shows it. Escaped are control characters, line and paragraph separators, and characters that change the text direction. All
/// others are unchanged, so that escaping twice has no further effect.
///
/// Every error type of Torsade, and the log, display foreign text in this way.
///
/// # Examples
/// ```
/// use torsade::Escaped;
///
/// assert_eq!(Escaped("no command \"\x1b[2J\r\n\"").to_string(), r#"no command "\u{1b}[2J\r\n""#);
/// ```
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "it is what it holds, displayed differently")]
pub struct Escaped<T>(pub T);

impl<T: fmt::Display> fmt::Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

/// Escapes what is written through it.
struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some((index, found)) = rest.char_indices().find(|(_, c)| is_unsafe_to_print(*c)) {
            self.0.write_str(&rest[..index])?;
            write!(self.0, "{}", found.escape_default())?;
            rest = &rest[index + found.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

fn is_unsafe_to_print(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
