//! How an endpoint's text is written.

use std::fmt::Display;
use std::net::SocketAddr;

use torsade_protocols::{Host, HostPort};

use super::kind::{Kind, TextEndpoint};
use super::quoting::quote_string_argument;

/// The text of an endpoint of one type, as far as it is written.
pub(super) struct Writing {
    text: String,
    has: Vec<&'static str>,
}

impl Writing {
    /// Begins with the type of this name.
    pub(super) fn begin<E: TextEndpoint>(name: &'static str) -> Self {
        let has = E::KINDS.iter().filter(|kind| kind.name == name).flat_map(|Kind { names, .. }| names.all()).collect();
        Self { text: name.to_owned(), has }
    }

    /// Writes a part that has its place.
    pub(super) fn part(mut self, value: impl Display) -> Self {
        self.text.push(':');
        self.text.push_str(&quote_string_argument(&value.to_string()));
        self
    }

    /// Writes a part by its name, if there is one, and this type has it.
    pub(super) fn key(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value.filter(|_| self.has.contains(&name)) {
            self.text.push_str(&format!(":{name}={}", quote_string_argument(&value.to_string())));
        }
    }

    pub(super) fn end(self) -> String {
        self.text
    }
}

/// The host alone, with the link that it is on.
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
