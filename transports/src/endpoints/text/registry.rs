//! Types of endpoints that programs add.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use torsade_protocols::EndpointError;

use super::arguments::{EndpointArguments, Names};
use super::kind::TextEndpoint;

/// The types that programs have added, of endpoints of one side.
pub(super) struct Registry<E: 'static>(RwLock<Vec<Added<E>>>);

type Parser<E> = dyn Fn(&EndpointArguments<'_>) -> Result<E, EndpointError> + Send + Sync;

/// A type that a program has added.
pub(super) struct Added<E: 'static> {
    prefix: String,
    pub(super) form: String,
    pub(super) names: Names,
    pub(super) parser: Arc<Parser<E>>,
}

impl<E> Clone for Added<E> {
    fn clone(&self) -> Self {
        Self { prefix: self.prefix.clone(), form: self.form.clone(), names: self.names, parser: Arc::clone(&self.parser) }
    }
}

impl<E> Registry<E> {
    pub(super) const fn new() -> Self {
        Self(RwLock::new(Vec::new()))
    }

    /// A copy, so that a parser may read other endpoints, and add types.
    pub(super) fn find(&self, name: &str) -> Option<Added<E>> {
        let added = self.0.read().unwrap_or_else(PoisonError::into_inner);
        added.iter().find(|added| added.prefix.eq_ignore_ascii_case(name)).cloned()
    }

    /// Whether it was added: not if there is one of this name already.
    fn add(&self, new: Added<E>) -> bool {
        let mut added = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = added.iter().all(|added| !added.prefix.eq_ignore_ascii_case(&new.prefix));
        if is_new {
            added.push(new);
        }
        is_new
    }
}

/// Adds a type of endpoint that is written `prefix:...`, for the whole process.
///
/// It is one of [`ServerEndpoint`](crate::ServerEndpoint)s or of [`ClientEndpoint`](crate::ClientEndpoint)s, whichever `parser` makes.
/// `names` are those of the parts behind the prefix: each can be written in its place, or anywhere as `name=value`. The parser gets them
/// unquoted, by name; it is called whenever such a text is read, on any thread, and should not touch the system. Capital letters of the
/// prefix do not matter.
///
/// What it makes can be a usual endpoint, or one of a kind of your own ([`ServerEndpoint::custom`](crate::ServerEndpoint::custom)) whose
/// `Display` writes text that the parser reads again.
///
/// # Errors
/// [`EndpointPrefixError::Taken`] if there is an endpoint of this type on that side; `Unwritable` if the prefix is empty, or has letters
/// that are quoted in text.
///
/// # Examples
/// Sockets of one folder, by name:
/// ```
/// use torsade::{EndpointError, EndpointArguments, prelude::*, register_endpoint_parser};
///
/// fn service(arguments: &EndpointArguments<'_>) -> Result<ServerEndpoint, EndpointError> {
///     let name = arguments.required("name")?;
///     if name.contains('/') {
///         return Err(arguments.refuse("name", "write one without a slash"));
///     }
///     let mode = arguments.parse("mode", "write a number")?.unwrap_or(0o600);
///     Ok(ServerEndpoint::unix(format!("/run/{name}.sock")).options(ListenOptions { mode, ..ListenOptions::default() }))
/// }
///
/// register_endpoint_parser("service", &["name", "mode"], service)?;
/// let endpoint: ServerEndpoint = "service:echo".parse()?;
/// assert_eq!(endpoint.to_string(), "unix:/run/echo.sock:mode=600");
/// assert!(register_endpoint_parser("service", &[], service).is_err(), "there is one");
/// assert!("service:a/b".parse::<ServerEndpoint>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "IStreamServerEndpointStringParser")]
#[doc(alias = "IStreamClientEndpointStringParserWithReactor")]
#[expect(private_bounds, reason = "for endpoints to listen on, and to connect to, and for nothing else")]
pub fn register_endpoint_parser<E: TextEndpoint>(
    prefix: &str,
    names: &'static [&'static str],
    parser: impl Fn(&EndpointArguments<'_>) -> Result<E, EndpointError> + Send + Sync + 'static,
) -> Result<(), EndpointPrefixError> {
    let prefix = prefix.to_owned();
    if prefix.is_empty() || prefix.contains([':', '=', '\\']) {
        return Err(EndpointPrefixError::Unwritable { prefix });
    }
    let form = std::iter::once(prefix.to_ascii_lowercase()).chain(names.iter().map(|name| name.to_ascii_uppercase()));
    let form = form.collect::<Vec<_>>().join(":");
    let added = Added {
        prefix: prefix.clone(),
        form,
        names: Names { positional: names, keyed: &[], fills_gaps: false },
        parser: Arc::new(parser),
    };
    if E::KINDS.iter().any(|kind| kind.name.eq_ignore_ascii_case(&prefix)) || !E::registry().add(added) {
        return Err(EndpointPrefixError::Taken { prefix });
    }
    Ok(())
}

/// A type of endpoint cannot be added.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub enum EndpointPrefixError {
    /// There is one of this name on that side.
    Taken {
        /// The name.
        prefix: String,
    },
    /// Such a name cannot be written before a colon.
    Unwritable {
        /// The name.
        prefix: String,
    },
}

impl fmt::Display for EndpointPrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { prefix } => write!(f, "there are endpoints of the type {prefix:?} already: use another name"),
            Self::Unwritable { prefix } => {
                write!(
                    f,
                    "no type of endpoint can be named {prefix:?}: a name is not empty and has no colon, equals sign or backslash"
                )
            }
        }
    }
}

torsade_reactor::debug_as_display!(EndpointPrefixError);

impl Error for EndpointPrefixError {}
