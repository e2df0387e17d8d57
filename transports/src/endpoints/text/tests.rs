//! Any endpoint is written as text that parses to an equal one, and so is any endpoint that was parsed.

use std::fmt::{Debug, Display};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use torsade_protocols::{Compression, ConnectOptions, Format};
use torsade_reactor::{Keepalive, ListenOptions, SocketOptions};

use super::arguments::EndpointArguments;
use super::kind::{TextEndpoint, parse};
use crate::endpoints::client::ClientEndpoint;
use crate::endpoints::server::ServerEndpoint;
use crate::endpoints::tls_files::{ClientTlsFiles, ServerTlsFiles};

fn means_the_same<E: TextEndpoint + Debug + Display + PartialEq>(endpoint: &E) {
    let text = endpoint.to_string();
    match parse::<E>(&text) {
        Ok(read) => assert_eq!(read, *endpoint, "{text:?}"),
        Err(error) => panic!("{error}"),
    }
}

/// Pieces of text, most of which have a meaning.
fn text() -> impl Strategy<Value = String> {
    let types =
        ["tcp", "TCP", "tcp6", "ssl", "tls", "unix", "host", "systemd", "fd", "haproxy:tcp", "compress:gzip:unix", "10.0.0.1"];
    let parts = [
        "80",
        "::1",
        r"\:\:1",
        "127.0.0.1",
        "h",
        "",
        "660",
        "0",
        "1",
        "/run/x",
        "a=b",
        r"a\=b",
        "interface=",
        r"interface=\:\:",
        "backlog=5",
        "port=80",
        "host=h",
        "timeout=3.50",
        "attemptDelay=0.000000001",
        "mode=7",
        "lockfile=0",
        "bindAddress=10.0.0.1",
        "hostname=h",
        r"bindAddress=[\:\:1]\:5",
        "certKey=c",
        "privateKey=k",
        "certificate=c",
        "trustRoots=r",
        "caCertsDir=r",
        "level=3",
        "index=0",
        "name=n=m",
        "domain=INET6",
        r"endpoint=unix\:/x",
        r"endpoint=tcp\:h\:1",
        "keepaliveRetries=1",
        "tos=9",
        "onlyV6=0",
        r"\",
        "ü",
    ];
    let parts = vec(prop_oneof![9 => select(parts.to_vec()).prop_map(str::to_owned), 1 => ".{0,5}"], 0..5);
    (select(types.to_vec()), parts)
        .prop_map(|(kind, parts)| std::iter::once(kind.to_owned()).chain(parts).collect::<Vec<_>>().join(":"))
}

fn duration() -> impl Strategy<Value = Duration> {
    (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(seconds, nanoseconds)| Duration::new(seconds, nanoseconds))
}

prop_compose! {
    fn socket()(
        keepalive in option::of((any::<u32>(), any::<u32>(), any::<u32>())),
        user_timeout in option::of(duration()),
        tos in any::<Option<u8>>(),
        send_buffer in any::<Option<usize>>(),
        receive_buffer in any::<Option<usize>>(),
    ) -> SocketOptions {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let keepalive =
            keepalive.map(|(idle, interval, retries)| Keepalive { idle: seconds(idle), interval: seconds(interval), retries });
        SocketOptions { keepalive, user_timeout, tos, send_buffer, receive_buffer }
    }
}

fn compression() -> impl Strategy<Value = Option<Compression>> {
    let levels = prop_oneof![Just(None), (0..10_u32).prop_map(Some)];
    option::of((select(vec![Format::Deflate, Format::Gzip]), levels).prop_map(|(format, level)| {
        let mut compression = Compression::from(format);
        compression.level = level;
        compression
    }))
}

/// A path with every character that needs quoting.
fn path() -> impl Strategy<Value = String> {
    r"[a-z:=\\/ ü]{1,8}"
}

prop_compose! {
    fn server()(
        address in prop_oneof![any::<SocketAddr>(), any::<u16>().prop_map(|port| SocketAddr::new(IpAddr::from([0; 4]), port))],
        unix in option::of(path()),
        tls in option::of((path(), option::of(path()), option::of(path()))),
        (backlog, mode, lock, only_v6, reuse_port) in (any::<u32>(), 0..0o10000_u32, any::<bool>(), any::<Option<bool>>(), any::<bool>()),
        socket in socket(),
        proxied in any::<bool>(),
        compression in compression(),
    ) -> ServerEndpoint {
        let usual = ListenOptions::default();
        let mut endpoint = match unix {
            Some(path) => ServerEndpoint::unix(path).options(ListenOptions { backlog, mode, lock, ..usual }),
            None => {
                let options = ListenOptions { backlog, only_v6, reuse_port, socket, ..usual };
                let mut endpoint = ServerEndpoint::from(SocketAddr::new(address.ip(), address.port())).options(options);
                endpoint.tls_files = tls.map(|(key, certificate, chain)| ServerTlsFiles { key, certificate, chain });
                endpoint
            }
        };
        endpoint.proxied = proxied;
        endpoint.layers.compression = compression;
        endpoint
    }
}

prop_compose! {
    fn client()(
        (host, port) in (select(vec!["h", "10.0.0.1", "::1", "fe80::1%eth0", "www.example.com"]), any::<u16>()),
        unix in option::of(path()),
        tls in option::of((option::of(Just("other.example".to_owned())), option::of((path(), option::of(path()))), option::of(path()))),
        (timeout, attempt_delay, attempt_timeout) in (duration(), duration(), option::of(duration())),
        bind_address in option::of(any::<SocketAddr>()),
        socket in socket(),
        compression in compression(),
    ) -> ClientEndpoint {
        let usual = ConnectOptions::default();
        let is_unix = unix.is_some();
        let mut endpoint = match unix {
            Some(path) => ClientEndpoint::unix(path).options(ConnectOptions { timeout, ..usual }),
            None => {
                let bind_address = bind_address.map(|address| SocketAddr::new(address.ip(), address.port()));
                let options = ConnectOptions { timeout, attempt_delay, attempt_timeout, bind_address, socket };
                ClientEndpoint::tcp((host, port)).unwrap().options(options)
            }
        };
        endpoint.tls_files = tls.map(|(server_name, certificate, roots)| {
            let server_name = if is_unix { Some("other.example".to_owned()) } else { server_name };
            let (certificate, key) = certificate.map_or((None, None), |(certificate, key)| (Some(certificate), key));
            ClientTlsFiles { server_name, certificate, key, roots }
        });
        endpoint.layers.compression = compression;
        endpoint
    }
}

proptest! {
    #[test]
    fn a_text_that_is_read_is_written_as_one_that_means_the_same(text in text()) {
        if let Ok(endpoint) = parse::<ServerEndpoint>(&text) {
            means_the_same(&endpoint);
        }
        if let Ok(endpoint) = parse::<ClientEndpoint>(&text) {
            means_the_same(&endpoint);
        }
    }

    #[test]
    fn an_error_says_where_a_part_begins(text in ".{0,20}") {
        let errors = [parse::<ServerEndpoint>(&text).err(), parse::<ClientEndpoint>(&text).err()];
        for error in errors.into_iter().flatten() {
            assert!(text.is_char_boundary(error.position()), "{error}");
            assert!(!error.remedy().is_empty());
        }
    }

    #[test]
    fn an_endpoint_is_written_as_text_that_means_the_same(server in server(), client in client()) {
        means_the_same(&server);
        means_the_same(&client);
    }
}

#[test]
fn a_prefix_is_added_once_for_each_side() {
    let unix = |arguments: &EndpointArguments<'_>| Ok(ServerEndpoint::unix(arguments.required("path")?));
    let unix_client = |arguments: &EndpointArguments<'_>| Ok(ClientEndpoint::unix(arguments.required("path")?));
    super::registry::register_endpoint_parser("local", &["path"], unix).unwrap();
    super::registry::register_endpoint_parser("local", &["path"], unix_client).unwrap();
    for (prefix, said) in [
        ("LOCAL", "the endpoint type \"LOCAL\" already exists: use another name"),
        ("Tcp", "the endpoint type \"Tcp\" already exists: use another name"),
        ("", "an endpoint type cannot be named \"\": a name is not empty and has no colon, equals sign or backslash"),
        ("a:b", "an endpoint type cannot be named \"a:b\": a name is not empty and has no colon, equals sign or backslash"),
    ] {
        assert_eq!(super::registry::register_endpoint_parser(prefix, &[], unix).unwrap_err().to_string(), said);
    }
    assert_eq!(parse::<ServerEndpoint>(r"Local:/a\:b").unwrap(), ServerEndpoint::unix("/a:b"));
    let within = r"compress:gzip:local:path=/a";
    assert_eq!(parse::<ClientEndpoint>(within).unwrap(), ClientEndpoint::unix("/a").compressed(Compression::gzip()));
    let error = parse::<ServerEndpoint>("local:/a:/b").unwrap_err();
    assert_eq!((error.position(), error.remedy()), (9, r"it has path, as in local:PATH; write a colon within a part as \:"));
}
