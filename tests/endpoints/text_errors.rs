//! Error messages for invalid endpoint text: which part, where, and what to write instead.

use torsade::{EndpointError, prelude::*};

/// A text, the byte where the invalid part begins, and the message from there on.
type Row = (&'static str, usize, &'static str);

const SERVERS: &[Row] = &[
    ("", 0, "the type is missing: it is one of tcp, tcp6, ssl, unix, systemd, fd, stdio, haproxy, compress"),
    ("haproxy:", 8, "the type is missing: it is one of tcp, tcp6, ssl, unix, systemd, fd, stdio, haproxy, compress"),
    (
        "tpc6:80",
        0,
        "there is no type \"tpc6\": did you mean tcp6? it is one of tcp, tcp6, ssl, unix, systemd, fd, stdio, haproxy, compress, of those added by \
         register_endpoint_parser, or an address, 127.0.0.1:8000 or [::1]:8000",
    ),
    ("TCP:80", 0, "there is no type \"TCP\": did you mean tcp? it is one of tcp"),
    ("onion:80:controlPort=9051", 0, "there is no type \"onion\": it is one of tcp"),
    (
        "localhost:80",
        0,
        "there is no type \"localhost\": to listen, write an IP address, 127.0.0.1:8000 or [::1]:8000, or tcp:8000",
    ),
    ("tcp", 3, "the port is missing: write tcp:PORT:interface=IP"),
    ("tcp:http", 4, "the port cannot be \"http\": write a number from 0 to 65535"),
    ("tcp:65536", 4, "the port cannot be \"65536\": write a number from 0 to 65535"),
    ("tcp:80:interface=::1", 18, r"the interface is given twice: write it once; write a colon within a part as \:"),
    ("tcp:80:interface=localhost", 17, r"the interface cannot be "),
    (
        "tcp:80:backlg=5",
        7,
        "\"backlg\" is not a part of it: did you mean backlog? it has port, interface, backlog, onlyV6, reusePort, keepalive, \
         keepaliveInterval, keepaliveRetries, userTimeout, tos, sendBuffer, receiveBuffer, as in tcp:PORT:interface=IP",
    ),
    ("tcp:80::50:x", 11, "\"x\" is not a part of it: it has port"),
    ("tcp:80:port=81", 4, "the port is given twice: write it once"),
    ("tcp:80:backlog=1:backlog=1", 17, "the backlog is given twice: write it once"),
    (r"tcp:80\", 6, r"a backslash escapes nothing: write two, \\, for one"),
    ("unix:", 5, "the address cannot be \"\": write a path"),
    ("unix:/x:mode=888", 13, "the mode cannot be \"888\": write it in octal, 660 for instance"),
    ("unix:/x:lockfile=yes", 17, "the lockfile cannot be \"yes\": write 1 or 0"),
    ("unix:/a=b", 5, "\"/a\" is not a part of it"),
    (
        "ssl:443:sslmethod=TLSv1_METHOD",
        18,
        "the sslmethod cannot be \"TLSv1_METHOD\": leave it out: TLS 1.2 and 1.3 are both accepted",
    ),
    (
        "ssl:443:dhParameters=dh.pem",
        21,
        "the dhParameters cannot be \"dh.pem\": leave it out: elliptic curves (ECDHE), which need no file, keep",
    ),
    ("ssl:443:", 8, "the privateKey cannot be \"\": write the name of a file, or leave it out"),
    ("haproxy:haproxy:tcp:80", 8, "the haproxy is given twice: write it once"),
    ("haproxy:compress:brotli:tcp:80", 17, "the format cannot be \"brotli\": write one of deflate, deflate-raw, gzip, lz4, zstd"),
    ("compress:gzip:level=10:tcp:80", 20, "the level cannot be \"10\": write a number from 0 to 9"),
    ("compress:level=1", 16, "the type is missing"),
    ("compress:gzip", 13, "the type is missing"),
    ("compress:gzip:tcp:x", 18, "the port cannot be \"x\""),
    ("systemd:domain=INET", 19, "the index or name is missing: write systemd:domain=INET:index=0"),
    ("systemd:index=0:name=web", 21, "the name cannot be \"web\": write either the index or the name"),
    ("systemd:INET5:0", 8, "the domain cannot be \"INET5\": write INET, INET6 or UNIX"),
    ("fd:", 3, "the number cannot be \"\""),
    ("tcp:80:userTimeout=-1", 19, "the userTimeout cannot be \"-1\": write seconds, 30 or 0.25 for instance"),
];

const CLIENTS: &[Row] = &[
    ("tcp:h", 5, "the port is missing: write tcp:HOST:PORT"),
    ("tcp:h:80:30", 9, "\"30\" is not a part of it"),
    ("tcp:::1:80", 6, "\"1\" is not a part of it: it has host, port, timeout"),
    ("tcp:ü.example:80", 4, r"the host cannot be "),
    ("tcp:h:80:bindAddress=lo", 21, r"the bindAddress cannot be "),
    (
        "tls:h:443:privateKey=k.pem",
        21,
        "the privateKey cannot be \"k.pem\": also write the certificate that it belongs to, certificate=FILE",
    ),
    (r"tls:h:443:endpoint=tcp\:a\:b", 27, "the port cannot be \"b\": write a number from 0 to 65535"),
    (r"tls:h:443:endpoint=tcp\:a", 25, "the port is missing"),
    (r"tls:h:443:endpoint=tls\:a\:1", 19, "the endpoint cannot be \"tls:a:1\": write one without TLS, tcp or unix for instance"),
    (r"tls:h:443:timeout=3:endpoint=tcp\:a\:1", 18, "the timeout cannot be \"3\": write it within the endpoint"),
    ("localhost", 0, "there is no type \"localhost\""),
];

fn check(&(text, position, said): &Row, error: &EndpointError) {
    let whole = format!("{text:?} is not an endpoint: at byte {position}, {said}");
    assert!(error.to_string().starts_with(&whole), "{error}\nis not\n{whole}");
}

#[test]
fn an_error_names_the_part_and_where_it_begins_and_the_remedy() {
    for row in SERVERS {
        check(row, &row.0.parse::<ServerEndpoint>().expect_err(row.0));
    }
    for row in CLIENTS {
        check(row, &row.0.parse::<ClientEndpoint>().expect_err(row.0));
    }
}
