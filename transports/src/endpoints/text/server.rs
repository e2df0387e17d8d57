//! Endpoints to listen on as text.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use torsade_protocols::{EndpointError, Host, HostPort};

use torsade_reactor::{PassedSocket, SocketDomain};

use super::arguments::{EndpointArguments, Names};
use super::kind::{Build, Kind, TextEndpoint, parse};
use super::layers::{COMPRESS, COMPRESS_FORM, compression, write_compression};
use super::options::{LISTENING, SOCKET, listening, write_listening};
use super::registry::Registry;
use super::unix_text::{unix_name, unix_text};
use super::writing::{Writing, host};
use crate::endpoints::inherited::InheritedPlace;
use crate::endpoints::server::{Place, ServerEndpoint};
use crate::endpoints::tls_files::ServerTlsFiles;

static ADDED: Registry<ServerEndpoint> = Registry::new();

impl TextEndpoint for ServerEndpoint {
    const KINDS: &'static [Kind<Self>] = &[
        Kind {
            name: "tcp",
            any_case: false,
            form: "tcp:PORT:interface=IP",
            names: Names { positional: &["port", "interface", "backlog"], keyed: &[LISTENING, SOCKET], fills_gaps: false },
            build: Build::Place(|arguments| tcp(arguments, Ipv4Addr::UNSPECIFIED)),
        },
        Kind {
            name: "tcp6",
            any_case: true,
            form: "tcp6:PORT:interface=IP",
            names: Names { positional: &["port", "backlog", "interface"], keyed: &[LISTENING, SOCKET], fills_gaps: false },
            build: Build::Place(|arguments| tcp(arguments, Ipv6Addr::UNSPECIFIED)),
        },
        Kind {
            name: "ssl",
            any_case: false,
            form: "ssl:PORT:privateKey=FILE:certKey=FILE",
            names: Names {
                positional: &[
                    "port",
                    "privateKey",
                    "certKey",
                    "sslmethod",
                    "interface",
                    "backlog",
                    "extraCertChain",
                    "dhParameters",
                ],
                keyed: &[LISTENING, SOCKET],
                fills_gaps: false,
            },
            build: Build::Place(ssl),
        },
        Kind {
            name: "unix",
            any_case: false,
            form: "unix:PATH:mode=660",
            names: Names { positional: &["address", "mode", "backlog", "lockfile"], keyed: &[], fills_gaps: false },
            build: Build::Place(unix),
        },
        Kind {
            name: "systemd",
            any_case: true,
            form: "systemd:domain=INET:index=0",
            names: Names { positional: &["domain", "index", "name"], keyed: &[], fills_gaps: false },
            build: Build::Place(systemd),
        },
        Kind {
            name: "fd",
            any_case: true,
            form: "fd:3",
            names: Names { positional: &["number", "domain"], keyed: &[], fills_gaps: false },
            build: Build::Place(descriptor),
        },
        Kind {
            name: "stdio",
            any_case: true,
            form: "stdio:",
            names: Names { positional: &[], keyed: &[], fills_gaps: false },
            build: Build::Place(|_| Ok(Self::stdio())),
        },
        Kind {
            name: "haproxy",
            any_case: true,
            form: "haproxy:tcp:...",
            names: Names { positional: &[], keyed: &[], fills_gaps: false },
            build: Build::Around(|_, inner| Ok(inner.proxied())),
        },
        Kind {
            name: "compress",
            any_case: true,
            form: COMPRESS_FORM,
            names: COMPRESS,
            build: Build::Around(|arguments, inner| Ok(inner.compressed(compression(arguments)?))),
        },
    ];

    fn registry() -> &'static Registry<Self> {
        &ADDED
    }

    fn plain(address: HostPort) -> Result<Self, &'static str> {
        Self::tcp(address)
            .map_err(|_| "to listen, write an IP address, 127.0.0.1:8000 or [::1]:8000, or tcp:8000 for all of this machine")
    }
}

fn tcp(arguments: &EndpointArguments<'_>, any: impl Into<IpAddr>) -> Result<ServerEndpoint, EndpointError> {
    let any = any.into();
    let port = arguments.parse("port", "write a number from 0 to 65535")?.ok_or_else(|| arguments.missing("port"))?;
    let address = |text: &str| match text {
        "" => Some((any, port).into()),
        text => HostPort::try_from((text, port)).ok().filter(|here| matches!(here.host(), Host::Ip(_))),
    };
    let remedy = r"write an IP address of this machine, 127.0.0.1 or \:\:1 for instance";
    let address = arguments.parse_with("interface", remedy, address)?;
    let address = address.unwrap_or_else(|| (any, port).into());
    Ok(ServerEndpoint::at(address).options(listening(arguments)?))
}

fn ssl(arguments: &EndpointArguments<'_>) -> Result<ServerEndpoint, EndpointError> {
    let mut endpoint = tcp(arguments, Ipv4Addr::UNSPECIFIED)?;
    // The methods that negotiate the newest version that both sides support.
    let negotiates = |text: &str| matches!(text, "SSLv23_METHOD" | "TLS_METHOD" | "TLS_SERVER_METHOD").then_some(());
    arguments.parse_with("sslmethod", "leave it out: TLS 1.2 and 1.3 are both accepted", negotiates)?;
    if arguments.part("dhParameters").is_some() {
        let remedy = "leave it out: elliptic curves (ECDHE), which need no file, keep past sessions secret";
        return Err(arguments.refuse("dhParameters", remedy));
    }
    endpoint.tls_files = Some(ServerTlsFiles {
        key: arguments.file("privateKey")?.unwrap_or_else(|| "server.pem".to_owned()),
        certificate: arguments.file("certKey")?,
        chain: arguments.file("extraCertChain")?,
    });
    Ok(endpoint)
}

fn unix(arguments: &EndpointArguments<'_>) -> Result<ServerEndpoint, EndpointError> {
    let path = arguments.required("address")?;
    if path.is_empty() {
        return Err(arguments.refuse("address", "write a path"));
    }
    Ok(ServerEndpoint::unix(unix_name(&path)).options(listening(arguments)?))
}

fn systemd(arguments: &EndpointArguments<'_>) -> Result<ServerEndpoint, EndpointError> {
    let index = arguments.parse("index", "write a number from 0, which is the first")?.map(PassedSocket::Index);
    let name = arguments.get("name").map(PassedSocket::Name);
    match (index, name) {
        (Some(_), Some(_)) => Err(arguments.refuse("name", "write either the index or the name")),
        (None, None) => Err(arguments.missing("index or name")),
        (Some(socket), None) | (None, Some(socket)) => Ok(ServerEndpoint::passed(socket, domain(arguments)?)),
    }
}

fn descriptor(arguments: &EndpointArguments<'_>) -> Result<ServerEndpoint, EndpointError> {
    let number = arguments.parse("number", "write the number of a descriptor that listens; the first that is passed is 3")?;
    let number = number.ok_or_else(|| arguments.missing("number"))?;
    Ok(ServerEndpoint::passed(PassedSocket::Descriptor(number), domain(arguments)?))
}

/// Reads the domain of a passed socket, named as in Python's `socket` after `AF_`.
fn domain(arguments: &EndpointArguments<'_>) -> Result<Option<SocketDomain>, EndpointError> {
    let known = [SocketDomain::Inet, SocketDomain::Inet6, SocketDomain::Unix];
    let find = |text: &str| known.into_iter().find(|domain| domain.to_string() == text);
    arguments.parse_with("domain", "write INET, INET6 or UNIX", find)
}

/// Writes text that parses to an equal endpoint. What has no text, such as a TLS configuration made by the program, is written in
/// angle brackets, which do not parse.
impl fmt::Display for ServerEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.proxied {
            f.write_str("haproxy:")?;
        }
        if let Some(compression) = &self.layers.compression {
            f.write_str(&write_compression(compression))?;
        }
        if self.layers.tls.is_some() {
            f.write_str("<tls>:")?;
        }
        let mut text = match &self.place {
            Place::Tcp(address) => write_tcp(address, self.tls_files.is_some()),
            Place::Unix(name) => Writing::begin::<Self>("unix").part(unix_text(name)),
            Place::Inherited(InheritedPlace::Passed { socket, domain }) => write_passed(socket, *domain),
            Place::Inherited(InheritedPlace::Own(_)) => return f.write_str("<inherited>"),
            Place::Stdio => return f.write_str("stdio:"),
            Place::Custom(endpoint) => return endpoint.0.fmt(f),
        };
        if let Some(ServerTlsFiles { key, certificate, chain }) = &self.tls_files {
            text.key("privateKey", Some(key));
            text.key("certKey", certificate.as_ref());
            text.key("extraCertChain", chain.as_ref());
        }
        write_listening(&mut text, &self.options);
        f.write_str(&text.end())
    }
}

fn write_tcp(address: &HostPort, tls: bool) -> Writing {
    let (name, any): (_, IpAddr) = match address.host() {
        Host::Ip(IpAddr::V6(_)) if !tls => ("tcp6", Ipv6Addr::UNSPECIFIED.into()),
        _ => (if tls { "ssl" } else { "tcp" }, Ipv4Addr::UNSPECIFIED.into()),
    };
    let mut text = Writing::begin::<ServerEndpoint>(name).part(address.port());
    text.key("interface", (*address.host() != Host::Ip(any)).then(|| host(address)));
    text
}

fn write_passed(socket: &PassedSocket, domain: Option<SocketDomain>) -> Writing {
    let mut text = match socket {
        PassedSocket::Descriptor(number) => Writing::begin::<ServerEndpoint>("fd").part(number),
        PassedSocket::Index(_) | PassedSocket::Name(_) => Writing::begin::<ServerEndpoint>("systemd"),
    };
    text.key("domain", domain);
    match socket {
        PassedSocket::Index(index) => text.key("index", Some(index)),
        PassedSocket::Name(name) => text.key("name", Some(name)),
        PassedSocket::Descriptor(_) => {}
    }
    text
}

impl FromStr for ServerEndpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        parse(text)
    }
}
