//! The destination of a request, and how it is written in the request.

use std::fmt;

use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{Method, Request, Uri, Version};

use super::error::{ClientError, ClientErrorKind};

/// A scheme, host and port; requests with the same origin share connections.
#[derive(Clone, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Origin {
    pub(super) secure: bool,
    /// In lower case; an IPv6 address in brackets.
    pub(super) host: String,
    pub(super) port: u16,
}

impl Origin {
    /// The origin of `request`. A CONNECT goes to the place it names, in cleartext.
    pub(super) fn of<B>(request: &Request<B>) -> Result<Self, ClientError> {
        let (uri, connect) = (request.uri(), request.method() == Method::CONNECT);
        let refused = |why: &str| ClientError::new(ClientErrorKind::Request, format!("{why}: {uri}"));
        let secure = match uri.scheme_str() {
            None if connect => false,
            Some(_) if connect => return Err(refused("the target of CONNECT is a host and a port, without a scheme")),
            Some("http") => false,
            Some("https") if cfg!(feature = "tls") => true,
            Some("https") => return Err(refused("https needs the feature tls of torsade-hyper")),
            _ => return Err(refused("the URI must begin with http:// or https://")),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| refused("the URI has no host"))?;
        let port = match port_text(uri, host) {
            "" if connect => return Err(refused("the target of CONNECT has no port")),
            "" if secure => 443,
            "" => 80,
            port => port.parse().map_err(|_| refused(&format!("{port} is not a port number")))?,
        };
        Ok(Self { secure, host: host.to_ascii_lowercase(), port })
    }

    /// The host and port, even if it is the default port.
    pub(super) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The host, and the port unless it is the default (RFC 9110, 7.2).
    fn short_authority(&self) -> String {
        if self.port == if self.secure { 443 } else { 80 } { self.host.clone() } else { self.authority() }
    }

    /// Writes the request's target for HTTP/1.1: the path, and the host in a header (RFC 9112, 3.2.1).
    pub(super) fn address_http1<B>(&self, request: &mut Request<B>) {
        *request.version_mut() = Version::HTTP_11;
        if request.method() != Method::CONNECT {
            let target = request.uri().path_and_query().cloned();
            let mut parts = hyper::http::uri::Parts::default();
            parts.path_and_query = Some(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
            if let Ok(target) = Uri::from_parts(parts) {
                *request.uri_mut() = target;
            }
        }
        if !request.headers().contains_key(HOST)
            && let Ok(value) = HeaderValue::try_from(self.short_authority())
        {
            request.headers_mut().insert(HOST, value);
        }
    }

    /// Writes the request's target for HTTP/2: with scheme and authority, without user information (RFC 9113, 8.3.1).
    pub(super) fn address_http2<B>(&self, request: &mut Request<B>) {
        *request.version_mut() = Version::HTTP_2;
        let mut parts = hyper::http::uri::Parts::default();
        parts.scheme = Some(if self.secure { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority = self.short_authority().parse().ok();
        let target = request.uri().path_and_query().cloned();
        parts.path_and_query = Some(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
        if let Ok(target) = Uri::from_parts(parts) {
            *request.uri_mut() = target;
        }
    }
}

/// The port as text, because [`Uri::port`] returns none for one that is too large.
fn port_text<'a>(uri: &'a Uri, host: &str) -> &'a str {
    let authority = uri.authority().map_or("", Authority::as_str);
    let location = authority.rsplit_once('@').map_or(authority, |(_user, location)| location);
    location.strip_prefix(host).and_then(|rest| rest.strip_prefix(':')).unwrap_or_default()
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", if self.secure { "https" } else { "http" }, self.host, self.port)
    }
}
