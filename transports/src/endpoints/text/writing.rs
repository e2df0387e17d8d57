//! Writing an endpoint's text.

use std::fmt::Display;
use std::net::SocketAddr;

use torsade_protocols::{Host, HostPort};

use super::kind::{Kind, TextEndpoint};
use super::quoting::quote_string_argument;

/// The text of an endpoint that is being written.
pub(super) struct Writing {
    text: String,
    has: Vec<&'static str>,
}

impl Writing {
    /// Begins with this type.
    pub(super) fn begin<E: TextEndpoint>(name: &'static str) -> Self {
        let has = E::KINDS.iter().filter(|kind| kind.name == name).flat_map(|Kind { names, .. }| names.all()).collect();
        Self { text: name.to_owned(), has }
    }

    /// Writes an unnamed part.
    pub(super) fn part(mut self, value: impl Display) -> Self {
        self.text.push(':');
        self.text.push_str(&quote_string_argument(&value.to_string()));
        self
    }

    /// Writes a named part, if it has a value and this type has the part.
    pub(super) fn key(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value.filter(|_| self.has.contains(&name)) {
            self.text.push_str(&format!(":{name}={}", quote_string_argument(&value.to_string())));
        }
    }

    pub(super) fn end(self) -> String {
        self.text
    }
}

/// Writes the host without the port, but with its link.
pub(super) fn host(there: &HostPort) -> String {
    match (there.host(), there.link()) {
        (Host::Name(name), _) => name.clone(),
        (Host::Ip(ip), Some(link)) => format!("{ip}%{link}"),
        (Host::Ip(ip), None) => match there.at(*ip) {
            SocketAddr::V6(address) if address.scope_id() != 0 => format!("{ip}%{}", address.scope_id()),
            _ => ip.to_string(),
        },
    }
}
