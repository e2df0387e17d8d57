//! The parts of an endpoint's text after its type, by name.

use std::str::FromStr;

use torsade_protocols::{EndpointError, EndpointProblem};

use super::nearest::nearest;
use super::quoting::{Part, Parts};

/// The names that the parts after a type can have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Names {
    /// Of parts that may be written without a name, in order.
    pub(super) positional: &'static [&'static str],
    /// Of parts that are always written with a name.
    pub(super) keyed: &'static [&'static [&'static str]],
    /// Whether unnamed parts fill the positions that are not given by name, as Twisted does for the host and the port of clients.
    /// Otherwise the first unnamed part is always the first position, as in a Python call.
    pub(super) fills_gaps: bool,
}

impl Names {
    pub(super) fn all(&self) -> impl Iterator<Item = &'static str> {
        self.positional.iter().copied().chain(self.keyed.iter().copied().flatten().copied())
    }
}

/// The hint for an unexpected unnamed part, which is most likely the rest of an IPv6 address.
const COLON: &str = r"; write a colon within a part as \:";

/// The parts of an endpoint's text after its type, for your own parser: see
/// [`register_endpoint_parser`](crate::register_endpoint_parser).
#[derive(Debug)]
pub struct EndpointArguments<'a> {
    whole: &'a str,
    /// An example of this type's text.
    form: &'a str,
    given: Vec<(&'static str, Part<'a>)>,
}

impl<'a> EndpointArguments<'a> {
    /// Gives the parts their names. `form` is an example of the type's text.
    pub(super) fn bind(whole: &'a str, form: &'a str, names: Names, parts: &Parts<'a>) -> Result<Self, EndpointError> {
        let mut bound = Self { whole, form, given: Vec::new() };
        for (key, value) in &parts.keyed {
            let text = key.text();
            let Some(name) = names.all().find(|name| *name == text) else { return Err(bound.unexpected_part(names, *key, "")) };
            bound.give(name, *value, key.at, "")?;
        }
        let mut open: Vec<_> = names.positional.to_vec();
        if names.fills_gaps {
            open.retain(|name| bound.part(name).is_none());
        }
        let mut open = open.into_iter();
        for part in &parts.positional {
            match open.next() {
                Some(name) => bound.give(name, *part, part.at, COLON)?,
                // The colon of a type without parts, as in `stdio:`.
                None if names.positional.is_empty() && parts.positional.len() == 1 && part.quoted.is_empty() => {}
                None => return Err(bound.unexpected_part(names, *part, COLON)),
            }
        }
        Ok(bound)
    }

    fn give(&mut self, name: &'static str, part: Part<'a>, at: usize, hint: &str) -> Result<(), EndpointError> {
        if self.part(name).is_some() {
            let problem = EndpointProblem::Twice { part: name.to_owned() };
            return Err(EndpointError::new(self.whole, at, problem, format!("write it once{hint}")));
        }
        self.given.push((name, part));
        Ok(())
    }

    fn unexpected_part(&self, names: Names, part: Part<'_>, hint: &str) -> EndpointError {
        let text = part.text();
        let all: Vec<_> = names.all().collect();
        let meant = nearest(&text, all.iter().copied()).map_or_else(String::new, |name| format!("did you mean {name}? "));
        let known = if all.is_empty() { "nothing is written after it".to_owned() } else { format!("it has {}", all.join(", ")) };
        let remedy = format!("{meant}{known}, as in {}{hint}", self.form);
        EndpointError::new(self.whole, part.at, EndpointProblem::Superfluous { part: text }, remedy)
    }

    pub(super) fn part(&self, name: &str) -> Option<Part<'a>> {
        self.given.iter().find(|(given, _)| *given == name).map(|(_, part)| *part)
    }

    /// The names of the given parts.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.given.iter().map(|(name, _)| *name)
    }

    pub(super) const fn whole(&self) -> &'a str {
        self.whole
    }

    /// Returns the part of this name, unquoted; `None` if it is missing.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        self.part(name).map(|part| part.text())
    }

    /// Returns the part of this name, unquoted.
    ///
    /// # Errors
    /// [`EndpointProblem::Missing`] if it is missing.
    pub fn required(&self, name: &str) -> Result<String, EndpointError> {
        self.get(name).ok_or_else(|| self.missing(name))
    }

    pub(super) fn missing(&self, name: &str) -> EndpointError {
        let problem = EndpointProblem::Missing { part: name.to_owned() };
        EndpointError::new(self.whole, self.whole.len(), problem, format!("write {}", self.form))
    }

    /// Parses the part of this name, without surrounding spaces; `None` if it is missing.
    ///
    /// # Errors
    /// [`EndpointProblem::Value`] if it does not parse; `remedy` says what to write instead.
    pub fn parse<T: FromStr>(&self, name: &str, remedy: &str) -> Result<Option<T>, EndpointError> {
        self.parse_with(name, remedy, |text| text.trim().parse().ok())
    }

    /// The name of a file or folder; `None` if it is missing.
    pub(super) fn file(&self, name: &str) -> Result<Option<String>, EndpointError> {
        self.parse_with(name, "write the name of a file, or leave it out", |text| (!text.is_empty()).then(|| text.to_owned()))
    }

    pub(super) fn parse_with<T>(
        &self,
        name: &str,
        remedy: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, EndpointError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        parse(&text).map(Some).ok_or_else(|| self.refuse(name, remedy))
    }

    /// Makes the error for an invalid part; `remedy` says what to write instead.
    #[must_use]
    pub fn refuse(&self, name: &str, remedy: &str) -> EndpointError {
        let Some(part) = self.part(name) else { return self.missing(name) };
        let problem = EndpointProblem::Value { part: name.to_owned(), value: part.text() };
        EndpointError::new(self.whole, part.at, problem, remedy)
    }
}
