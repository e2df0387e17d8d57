//! Endpoint types that programs add.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use torsade_protocols::EndpointError;

use super::arguments::{EndpointArguments, Names};
use super::kind::TextEndpoint;

/// The added types of servers, or of clients.
pub(super) struct Registry<E: 'static>(RwLock<Vec<Added<E>>>);

type Parser<E> = dyn Fn(&EndpointArguments<'_>) -> Result<E, EndpointError> + Send + Sync;

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

    /// Returns a copy, so that a parser may parse other endpoints, and add types.
    pub(super) fn find(&self, name: &str) -> Option<Added<E>> {
        let added = self.0.read().unwrap_or_else(PoisonError::into_inner);
        added.iter().find(|added| added.prefix.eq_ignore_ascii_case(name)).cloned()
    }

    /// Adds a type, and returns whether its name was free.
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
/// It is a type of [`ServerEndpoint`](crate::ServerEndpoint) or [`ClientEndpoint`](crate::ClientEndpoint), depending on what
/// `parser` returns. `names` are the names of the parts after the prefix: each part can be written in its position, or anywhere
/// as `name=value`. The parser gets them unquoted, by name. It is called whenever such a text is parsed, on any thread, and
/// should not touch the system. The prefix ignores case.
///
/// The parser can return any endpoint, or one of your own kind ([`ServerEndpoint::custom`](crate::ServerEndpoint::custom)), whose
/// `Display` should write text that the parser can read.
///
/// # Errors
/// [`EndpointPrefixError::Taken`] if servers, or clients, have a type of this name; `Unwritable` if the prefix is empty, or has
/// characters that need quoting.
///
/// # Examples
/// Sockets in one folder, by name:
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

/// Why a type of endpoint cannot be added.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub enum EndpointPrefixError {
    /// There is already a type of this name.
    Taken {
        /// The name.
        prefix: String,
    },
    /// The name cannot be written before a colon.
    Unwritable {
        /// The name.
        prefix: String,
    },
}

impl fmt::Display for EndpointPrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { prefix } => write!(f, "the endpoint type {prefix:?} already exists: use another name"),
            Self::Unwritable { prefix } => {
                write!(
                    f,
                    "an endpoint type cannot be named {prefix:?}: a name is not empty and has no colon, equals sign or backslash"
                )
            }
        }
    }
}

torsade_reactor::debug_as_display!(EndpointPrefixError);

impl Error for EndpointPrefixError {}
