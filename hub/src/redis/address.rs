//! Where Redis is, and how to log in.

#[cfg(feature = "tls")]
use torsade_transports::TlsClientConfig;

use crate::broker_url::BrokerUrl;
use crate::error::HubError;
use crate::hosts::Hosts;

/// The contents of a `redis:` URL.
pub(super) struct RedisAddress {
    pub(super) hosts: Hosts,
    /// User and password.
    pub(super) login: Option<(String, String)>,
    /// Whether live messages use the sharded pub/sub of a cluster.
    pub(super) sharded: bool,
}

impl RedisAddress {
    /// Reads `redis://[[USER]:PASSWORD@]HOST[:PORT][,..][?sharded]`, or `rediss://` for TLS.
    pub(super) fn new(url: &BrokerUrl, #[cfg(feature = "tls")] tls: Option<&TlsClientConfig>) -> Result<Self, HubError> {
        let wrong = |problem: String| HubError::Address { text: format!("{}:..", url.scheme), problem };
        let login = match (&url.user, &url.password) {
            (None, _) => None,
            (Some(_), None) => return Err(wrong("its login has no password: write USER:PASSWORD@ or :PASSWORD@".to_owned())),
            (Some(user), Some(password)) if user.is_empty() => Some(("default".to_owned(), password.clone())),
            (Some(user), Some(password)) => Some((user.clone(), password.clone())),
        };
        let (mut sharded, mut roots) = (false, None);
        for (name, value) in &url.options {
            match name.as_str() {
                "sharded" if matches!(value.as_str(), "" | "true" | "yes" | "1") => sharded = true,
                "ca" if url.scheme == "rediss" => roots = Some(value.as_str()),
                _ => {
                    return Err(wrong(format!("{name:?} is not an option: use sharded, or with rediss ca=FILE")));
                }
            }
        }
        #[cfg(not(feature = "tls"))]
        if url.scheme == "rediss" {
            let _ = roots;
            return Err(HubError::Tls { problem: "this program was built without the feature `tls`".to_owned() });
        }
        let hosts = Hosts::new(&url.hosts);
        #[cfg(feature = "tls")]
        let hosts = hosts.with_tls(tls_config(url, tls, roots)?);
        Ok(Self { hosts, login, sharded })
    }
}

#[cfg(feature = "tls")]
fn tls_config(
    url: &BrokerUrl,
    given: Option<&TlsClientConfig>,
    roots: Option<&str>,
) -> Result<Option<TlsClientConfig>, HubError> {
    if url.scheme != "rediss" {
        return Ok(None);
    }
    let made = match (given, roots) {
        (_, Some(file)) => TlsClientConfig::with_roots_file(file),
        (Some(given), None) => Ok(given.clone()),
        (None, None) => TlsClientConfig::with_system_roots(),
    };
    made.map(Some).map_err(|error| HubError::Tls { problem: error.to_string() })
}
