//! Endpoints to connect to as text.

use std::fmt;
use std::str::FromStr;

use torsade_protocols::{EndpointError, HostPort};

use super::arguments::{EndpointArguments, Names};
use super::kind::{Build, Kind, TextEndpoint, parse};
use super::layers::{COMPRESS, COMPRESS_FORM, compression, write_compression};
use super::options::{CONNECTING, SOCKET, connecting, flag, write_connecting};
use super::registry::Registry;
use super::unix_text::{unix_name, unix_text};
use super::writing::{Writing, host};
use crate::endpoints::client::{ClientEndpoint, Place};
use crate::endpoints::tls_files::ClientTlsFiles;

static ADDED: Registry<ClientEndpoint> = Registry::new();

const HOST_AND_PORT: Names = Names { positional: &["host", "port"], keyed: &[CONNECTING, SOCKET], fills_gaps: true };

impl TextEndpoint for ClientEndpoint {
    const KINDS: &'static [Kind<Self>] = &[
        Kind { name: "tcp", any_case: true, form: "tcp:HOST:PORT", names: HOST_AND_PORT, build: Build::Place(tcp) },
        Kind { name: "host", any_case: true, form: "host:NAME:PORT", names: HOST_AND_PORT, build: Build::Place(tcp) },
        Kind {
            name: "ssl",
            any_case: true,
            form: "ssl:HOST:PORT",
            names: Names { keyed: &[&["certKey", "privateKey", "caCertsDir", "hostname"], CONNECTING, SOCKET], ..HOST_AND_PORT },
            build: Build::Place(ssl),
        },
        Kind {
            name: "tls",
            any_case: true,
            form: "tls:HOST:PORT",
            names: Names {
                positional: &["host", "port", "timeout", "bindAddress", "certificate", "privateKey", "trustRoots", "endpoint"],
                keyed: &[&["attemptDelay", "attemptTimeout"], SOCKET],
                fills_gaps: false,
            },
            build: Build::Place(tls),
        },
        Kind {
            name: "unix",
            any_case: true,
            form: "unix:PATH",
            names: Names { positional: &["path"], keyed: &[&["timeout", "lockfile"]], fills_gaps: true },
            build: Build::Place(unix),
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
        Ok(address.into())
    }
}

fn there(arguments: &EndpointArguments<'_>) -> Result<HostPort, EndpointError> {
    let port = arguments.parse("port", "write a number from 0 to 65535")?;
    arguments.required("host")?;
    let port = port.ok_or_else(|| arguments.missing("port"))?;
    let host = |text: &str| HostPort::try_from((text, port)).ok();
    let remedy = r"write an IP address, 127.0.0.1 or \:\:1, or a name in ASCII letters (xn--...)";
    arguments.parse_with("host", remedy, host)?.ok_or_else(|| arguments.missing("host"))
}

fn tcp(arguments: &EndpointArguments<'_>) -> Result<ClientEndpoint, EndpointError> {
    Ok(ClientEndpoint::from(there(arguments)?).options(connecting(arguments)?))
}

fn ssl(arguments: &EndpointArguments<'_>) -> Result<ClientEndpoint, EndpointError> {
    let mut endpoint = tcp(arguments)?;
    let name = |name: &str| HostPort::try_from((name, 0)).ok().map(|there| there.host().to_string());
    let server_name = arguments.parse_with("hostname", "write the name that the certificate is for", name)?;
    endpoint.tls_files = Some(files(arguments, server_name, ["certKey", "privateKey", "caCertsDir"])?);
    Ok(endpoint)
}

fn tls(arguments: &EndpointArguments<'_>) -> Result<ClientEndpoint, EndpointError> {
    let there = there(arguments)?;
    let (mut endpoint, server_name) = match arguments.part("endpoint") {
        None => (ClientEndpoint::from(there).options(connecting(arguments)?), None),
        Some(part) => {
            let alone = ["host", "port", "certificate", "privateKey", "trustRoots", "endpoint"];
            if let Some(name) = arguments.names().find(|name| !alone.contains(name)) {
                return Err(arguments.refuse(name, "write it within the endpoint, after a quoted colon"));
            }
            let inner = parse::<ClientEndpoint>(&part.text())
                .map_err(|error| error.within(arguments.whole(), |position| part.position_of(position)))?;
            if inner.tls_files.is_some() {
                return Err(arguments.refuse("endpoint", "write one without TLS, tcp or unix for instance"));
            }
            (inner, Some(there.host().to_string()))
        }
    };
    endpoint.tls_files = Some(files(arguments, server_name, ["certificate", "privateKey", "trustRoots"])?);
    Ok(endpoint)
}

fn files(
    arguments: &EndpointArguments<'_>,
    server_name: Option<String>,
    [certificate, key, roots]: [&str; 3],
) -> Result<ClientTlsFiles, EndpointError> {
    if arguments.part(key).is_some() && arguments.part(certificate).is_none() {
        return Err(
            arguments.refuse(key, &format!("also write the certificate that it belongs to, {certificate}=FILE, or leave it out"))
        );
    }
    Ok(ClientTlsFiles {
        server_name,
        certificate: arguments.file(certificate)?,
        key: arguments.file(key)?,
        roots: arguments.file(roots)?,
    })
}

fn unix(arguments: &EndpointArguments<'_>) -> Result<ClientEndpoint, EndpointError> {
    let path = arguments.required("path")?;
    if path.is_empty() {
        return Err(arguments.refuse("path", "write a path"));
    }
    // The server's lock makes no difference to a client: without a server the system refuses.
    flag(arguments, "lockfile")?;
    Ok(ClientEndpoint::unix(unix_name(&path)).options(connecting(arguments)?))
}

/// Writes text that parses to an equal endpoint. What has no text, such as a TLS configuration made by the program, is written in
/// angle brackets, which do not parse.
impl fmt::Display for ClientEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(compression) = &self.layers.compression {
            f.write_str(&write_compression(compression))?;
        }
        if self.layers.tls.is_some() {
            f.write_str("<tls>:")?;
        }
        f.write_str(&match (&self.tls_files, &self.place) {
            (None, _) => self.write_place(),
            (Some(files), Place::Tcp(there)) => {
                // Only `ssl:` can have another name than the host's.
                let kind = if files.server_name.is_some() { "ssl" } else { "tls" };
                let mut text = write_tcp(kind, there);
                write_files(&mut text, files);
                write_connecting(&mut text, &self.options);
                text.end()
            }
            (Some(files), _) => {
                let name = files.server_name.as_deref().unwrap_or_default();
                // The port is required, but not used.
                let mut text = Writing::begin::<Self>("tls").part(name).part(443);
                write_files(&mut text, files);
                text.key("endpoint", Some(self.write_place()));
                text.end()
            }
        })
    }
}

impl ClientEndpoint {
    fn write_place(&self) -> String {
        let mut text = match &self.place {
            Place::Tcp(there) => write_tcp("tcp", there),
            Place::Unix(name) => Writing::begin::<Self>("unix").part(unix_text(name)),
            Place::Process(program) => return format!("<process {:?}>", program.0.get_program()),
            Place::Custom(endpoint) => return endpoint.0.to_string(),
        };
        write_connecting(&mut text, &self.options);
        text.end()
    }
}

fn write_tcp(kind: &'static str, there: &HostPort) -> Writing {
    Writing::begin::<ClientEndpoint>(kind).part(host(there)).part(there.port())
}

fn write_files(text: &mut Writing, files: &ClientTlsFiles) {
    text.key("hostname", files.server_name.as_ref());
    for name in ["certKey", "certificate"] {
        text.key(name, files.certificate.as_ref());
    }
    text.key("privateKey", files.key.as_ref());
    for name in ["caCertsDir", "trustRoots"] {
        text.key(name, files.roots.as_ref());
    }
}

impl FromStr for ClientEndpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        parse(text)
    }
}
