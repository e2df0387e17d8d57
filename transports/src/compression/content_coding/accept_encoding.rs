//! The header `Accept-Encoding`, RFC 9110, 12.5.3.

use std::error::Error;
use std::fmt;

use torsade_protocols::Format;

use crate::compression::missing_feature;

/// The client refuses the uncompressed body, and accepts nothing that was offered.
///
/// Answer 406, or send the body uncompressed anyway: RFC 9110 allows either.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct NotAcceptable;

impl fmt::Display for NotAcceptable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accept-Encoding: the client refuses an uncompressed body, and every coding that was offered")
    }
}

impl Error for NotAcceptable {}

/// Chooses the coding for a body that a client prefers by its header `Accept-Encoding`; `None` is `identity`, the uncompressed
/// body.
///
/// `accept_encoding` is the header's value; join the values of several such headers with commas. Without the header, do not
/// compress. Among codings of equal weight the first in `offered` is chosen, and any of them before `identity`. Offered formats
/// that are not content codings, or not built in, are ignored, and so are elements of the header with invalid syntax.
///
/// # Errors
/// [`NotAcceptable`]: the client refuses `identity` and everything that was offered.
///
/// ```
/// use torsade::Format;
/// use torsade::content_coding::choose;
///
/// let offered = [Format::Gzip, Format::Deflate];
/// assert_eq!(choose("gzip, deflate, br", &offered), Ok(Some(Format::Gzip)));
/// assert_eq!(choose("gzip;q=0.5, deflate;q=0.6", &offered), Ok(Some(Format::Deflate)));
/// assert_eq!(choose("br", &offered), Ok(None));
/// assert!(choose("br, identity;q=0", &offered).is_err());
/// ```
pub fn choose(accept_encoding: &str, offered: &[Format]) -> Result<Option<Format>, NotAcceptable> {
    let weights = Weights::read(accept_encoding);
    let usable = |format: &&Format| super::CODINGS.contains(format) && missing_feature(**format).is_none();
    let mut best = (None, 0);
    for format in offered.iter().filter(usable) {
        let weight = weights.of(format.name()).unwrap_or(0);
        if weight > best.1 {
            best = (Some(*format), weight);
        }
    }
    match weights.of("identity") {
        // `identity` is not mentioned: acceptable, but after everything that is.
        None if best.0.is_none() => Ok(None),
        Some(weight) if weight > best.1 => Ok(None),
        _ => best.0.map(Some).ok_or(NotAcceptable),
    }
}

/// The elements of the header: names, and weights in thousandths.
struct Weights<'a>(Vec<(&'a str, u16)>);

impl<'a> Weights<'a> {
    fn read(header: &'a str) -> Self {
        Self(header.split(',').filter_map(element).collect())
    }

    /// The weight of a coding, by its name or by `*`; `None` if the header has neither.
    fn of(&self, coding: &str) -> Option<u16> {
        let weight = |name: &str| self.0.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, weight)| *weight);
        let alias = if coding == Format::Gzip.name() { weight("x-gzip") } else { None };
        weight(coding).or(alias).or_else(|| weight("*"))
    }
}

fn element(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next()?;
    let weight = match (parts.next(), parts.next()) {
        (None, _) => 1000,
        (Some(weight), None) => thousandths(weight.strip_prefix("q=").or_else(|| weight.strip_prefix("Q="))?)?,
        _ => return None,
    };
    Some((name, weight))
}

/// A weight from 0 to 1 with at most three decimals.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let decimals: u16 = format!("{decimals:0<3}").parse().ok()?;
    match (whole, decimals) {
        ("0", decimals) => Some(decimals),
        ("1", 0) => Some(1000),
        _ => None,
    }
}
