//! Endpoints as text: what was parsed is printed as text that means the same.

use torsade::prelude::*;

/// Texts, and how their endpoints are printed.
const SERVERS: &[(&str, &str)] = &[
    ("tcp:80", "tcp:80"),
    ("tcp: 80 :", "tcp:80"),
    ("tcp:port=80:interface=127.0.0.1:backlog=50", "tcp:80:interface=127.0.0.1:backlog=50"),
    (r"tcp:80:\:\:1:50", r"tcp6:80:interface=\:\:1:backlog=50"),
    ("127.0.0.1:80", "tcp:80:interface=127.0.0.1"),
    ("[::]:80", "tcp6:80"),
    ("TCP6:80:50", "tcp6:80:backlog=50"),
    ("interface=127.0.0.1:tcp:80", "tcp:80:interface=127.0.0.1"),
    (r"t\cp:80", "tcp:80"),
    ("unix:/run/echo.sock", "unix:/run/echo.sock"),
    (r"unix:/run/a\:b\=c\\d:660:lockfile=0", r"unix:/run/a\:b\=c\\d:mode=660:lockfile=0"),
    ("unix:\0name", "unix:@name"),
    ("unix:@name:mode=660", "unix:@name:mode=660"),
    ("unix:./@name", "unix:./@name"),
    ("ssl:443", "ssl:443:privateKey=server.pem"),
    (
        r"ssl:443:privateKey=C\:/key.pem:certKey=crt.pem:extraCertChain=chain.pem:sslmethod=TLS_METHOD:interface=\:\:",
        r"ssl:443:interface=\:\::privateKey=C\:/key.pem:certKey=crt.pem:extraCertChain=chain.pem",
    ),
    ("systemd:INET6:0", "systemd:domain=INET6:index=0"),
    ("systemd:domain=UNIX:name=web", "systemd:domain=UNIX:name=web"),
    ("systemd:index=1", "systemd:index=1"),
    ("fd:3:UNIX", "fd:3:domain=UNIX"),
    ("haproxy:tcp:80:interface=127.0.0.1", "haproxy:tcp:80:interface=127.0.0.1"),
    ("HAProxy:127.0.0.1:80", "haproxy:tcp:80:interface=127.0.0.1"),
    ("compress:zlib:tcp:80", "compress:deflate:tcp:80"),
    ("compress:gzip:level=9:haproxy:ssl:443", "haproxy:compress:gzip:level=9:ssl:443:privateKey=server.pem"),
    (
        "tcp:80:keepalive=60:keepaliveInterval=10:keepaliveRetries=3:userTimeout=2.5:tos=16:sendBuffer=65536:receiveBuffer=4096",
        "tcp:80:keepalive=60:keepaliveInterval=10:keepaliveRetries=3:userTimeout=2.5:tos=16:sendBuffer=65536:receiveBuffer=4096",
    ),
    ("tcp6:80:onlyV6=1:reusePort=1", "tcp6:80:onlyV6=1:reusePort=1"),
];

const CLIENTS: &[(&str, &str)] = &[
    ("tcp:www.example.com:80", "tcp:www.example.com:80"),
    ("TCP:host=www.example.com:80", "tcp:www.example.com:80"),
    ("tcp:80:host=www.example.com", "tcp:www.example.com:80"),
    ("host:www.example.com:80", "tcp:www.example.com:80"),
    ("www.example.com:80", "tcp:www.example.com:80"),
    ("[::1]:80", r"tcp:\:\:1:80"),
    ("tcp:h:80:timeout=5:bindAddress=192.0.2.1:attemptDelay=0.3", "tcp:h:80:timeout=5:bindAddress=192.0.2.1:attemptDelay=0.3"),
    (r"tcp:h:80:bindAddress=192.0.2.1\:5000", r"tcp:h:80:bindAddress=192.0.2.1\:5000"),
    ("tcp:h:80:bindAddress=", "tcp:h:80"),
    ("unix:path=/run/echo.sock:lockfile=1:timeout=9", "unix:/run/echo.sock:timeout=9"),
    ("ssl:h:443:caCertsDir=/etc/ssl/certs", "tls:h:443:trustRoots=/etc/ssl/certs"),
    ("ssl:10.0.0.1:443:hostname=h:certKey=c.pem:privateKey=k.pem", "ssl:10.0.0.1:443:hostname=h:certKey=c.pem:privateKey=k.pem"),
    ("tls:h:443:9:192.0.2.1:c.pem:k.pem", "tls:h:443:certificate=c.pem:privateKey=k.pem:timeout=9:bindAddress=192.0.2.1"),
    (r"tls:h:9:endpoint=unix\:/run/a\\\:b", r"tls:h:443:endpoint=unix\:/run/a\\\:b"),
    (r"tls:h:443:endpoint=tcp\:10.0.0.1\:443", "ssl:10.0.0.1:443:hostname=h"),
    (r"compress:deflate:tls:h:443:endpoint=unix\:/x", r"compress:deflate:tls:h:443:endpoint=unix\:/x"),
];

#[test]
fn what_is_written_of_an_endpoint_is_read_as_an_equal_one() {
    for (text, written) in SERVERS {
        let endpoint: ServerEndpoint = text.parse().unwrap();
        assert_eq!(endpoint.to_string(), *written, "{text}");
        assert_eq!(endpoint, written.parse().unwrap(), "{text}");
    }
    for (text, written) in CLIENTS {
        let endpoint: ClientEndpoint = text.parse().unwrap();
        assert_eq!(endpoint.to_string(), *written, "{text}");
        assert_eq!(endpoint, written.parse().unwrap(), "{text}");
    }
}

#[test]
fn what_has_no_text_is_written_in_brackets_and_not_read_again() {
    let endpoint = ClientEndpoint::tcp("h:80").unwrap().compressed(Compression::deflate().flush(Flush::Manual));
    assert_eq!(endpoint.to_string(), "<compress:deflate>:tcp:h:80");
    assert!(endpoint.to_string().parse::<ClientEndpoint>().is_err());
}

#[cfg(feature = "serde")]
#[test]
fn in_configuration_files_an_endpoint_is_its_text() {
    use serde_core::de::value::{Error, StrDeserializer};
    use serde_core::{Deserialize, Serialize};

    struct Written(ServerEndpoint);
    impl std::fmt::Display for Written {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            self.0.serialize(f)
        }
    }
    let read = |text| ServerEndpoint::deserialize(StrDeserializer::<Error>::new(text));
    let endpoint = read("unix:/run/echo.sock:mode=660").unwrap();
    assert_eq!(Written(endpoint).to_string(), "unix:/run/echo.sock:mode=660");
    assert!(read("unix:/run/echo.sock:mode=rw").unwrap_err().to_string().contains("at byte 25, the mode cannot be"));
    let client = ClientEndpoint::deserialize(StrDeserializer::<Error>::new("localhost:80")).unwrap();
    assert_eq!(client, ClientEndpoint::tcp("localhost:80").unwrap());

    let textless = Written(ServerEndpoint::unix("/x").compressed(Compression::deflate().flush(Flush::Manual)));
    let mut text = String::new();
    assert!(std::fmt::Write::write_fmt(&mut text, format_args!("{textless}")).is_err(), "wrote {text}");
}

#[test]
fn the_longest_times_of_a_text_end_no_program() {
    let simulation = torsade::simulated::Simulation::new(1);
    let _port = simulation.host("10.0.0.1").listen("tcp:7", |_peer| torsade::wire::Echo).unwrap();
    let longest = u64::MAX;
    let text = format!("tcp:10.0.0.1:7:timeout={longest}:attemptDelay={longest}:attemptTimeout={longest}");
    let connector = simulation.host("10.0.0.2").connect(&text, |_peer| torsade::wire::Discard).unwrap();
    simulation.run_for(std::time::Duration::from_secs(1)).unwrap();
    assert_eq!(connector.state(), torsade::ConnectorState::Connected);
}
