//! The types of endpoints, and parsing a text by its type.

use torsade_protocols::{EndpointError, EndpointProblem, HostPort};

use super::arguments::{EndpointArguments, Names};
use super::nearest::nearest;
use super::quoting::{Parts, split};
use super::registry::Registry;

pub(super) struct Kind<E: 'static> {
    pub(super) name: &'static str,
    /// Whether its name ignores case.
    pub(super) any_case: bool,
    /// An example of its text.
    pub(super) form: &'static str,
    pub(super) names: Names,
    pub(super) build: Build<E>,
}

/// What the parts after a type make.
pub(super) enum Build<E: 'static> {
    /// An endpoint.
    Place(fn(&EndpointArguments<'_>) -> Result<E, EndpointError>),
    /// A layer around another endpoint, which the remaining parts describe.
    Around(Around<E>),
}

type Around<E> = fn(&EndpointArguments<'_>, E) -> Result<E, EndpointError>;

/// An endpoint that can be read from text.
pub(super) trait TextEndpoint: Sized + 'static {
    /// The built-in types.
    const KINDS: &'static [Kind<Self>];

    /// The types that programs have added.
    fn registry() -> &'static Registry<Self>;

    /// Makes an endpoint from a plain address; the error is what to write instead.
    fn plain(address: HostPort) -> Result<Self, &'static str>;
}

pub(super) fn parse<E: TextEndpoint>(text: &str) -> Result<E, EndpointError> {
    let mut parts = split(text)?;
    let layers = layers::<E>(text, &mut parts)?;
    let innermost = place(text, parts)?;
    layers.into_iter().rev().try_fold(innermost, |inner, (build, arguments)| build(&arguments, inner))
}

fn kind<E: TextEndpoint>(parts: &Parts<'_>) -> Option<&'static Kind<E>> {
    let name = parts.kind()?.text();
    E::KINDS.iter().find(|kind| kind.name == name || kind.any_case && kind.name.eq_ignore_ascii_case(&name))
}

/// Removes the layers from the parts, the outermost first.
fn layers<'a, E: TextEndpoint>(
    text: &'a str,
    parts: &mut Parts<'a>,
) -> Result<Vec<(Around<E>, EndpointArguments<'a>)>, EndpointError> {
    let (mut layers, mut seen) = (Vec::new(), Vec::new());
    while let Some(Kind { name, form, names, build: Build::Around(build), .. }) = kind::<E>(parts) {
        if seen.contains(name) {
            let at = parts.kind().map_or(0, |part| part.at);
            return Err(EndpointError::new(text, at, EndpointProblem::Twice { part: (*name).to_owned() }, "write it once"));
        }
        let own = parts.take_layer(names.positional.len(), |key| names.all().any(|name| name == key));
        layers.push((*build, EndpointArguments::bind(text, form, *names, &own)?));
        seen.push(*name);
    }
    Ok(layers)
}

/// Parses an endpoint without layers.
fn place<E: TextEndpoint>(text: &str, mut parts: Parts<'_>) -> Result<E, EndpointError> {
    let Some(part) = parts.kind() else {
        let problem = EndpointProblem::Missing { part: "type".to_owned() };
        return Err(EndpointError::new(text, text.len(), problem, format!("it is one of {}", types::<E>())));
    };
    let name = part.text();
    if let Some(Kind { build: Build::Place(build), form, names, .. }) = kind(&parts) {
        let own = parts.take_layer(usize::MAX, |_| true);
        return build(&EndpointArguments::bind(text, form, *names, &own)?);
    }
    if let Some(added) = E::registry().find(&name) {
        let own = parts.take_layer(usize::MAX, |_| true);
        return (added.parser)(&EndpointArguments::bind(text, &added.form, added.names, &own)?);
    }
    let alone = parts.plain().and_then(|address| address.parse::<HostPort>().ok()).map(E::plain);
    let remedy = match (alone, nearest(&name, E::KINDS.iter().map(|kind| kind.name))) {
        (Some(Ok(endpoint)), _) => return Ok(endpoint),
        (_, Some(meant)) => format!("did you mean {meant}? {}", remedy::<E>()),
        (Some(Err(remedy)), None) => remedy.to_owned(),
        (None, None) => remedy::<E>(),
    };
    Err(EndpointError::new(text, part.at, EndpointProblem::UnknownType { name }, remedy))
}

fn remedy<E: TextEndpoint>() -> String {
    let types = types::<E>();
    format!("it is one of {types}, of those added by register_endpoint_parser, or an address, 127.0.0.1:8000 or [::1]:8000")
}

fn types<E: TextEndpoint>() -> String {
    E::KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ")
}
