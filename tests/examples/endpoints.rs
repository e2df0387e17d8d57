//! The two smallest examples on every kind of endpoint, with each other and with ordinary peers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
#[cfg(all(target_os = "linux", feature = "systemd"))]
use std::os::{fd::OwnedFd, unix::net::UnixListener};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use crate::support::*;
use crate::unix::{Folder, Server as Forwarder};

/// `endpoint_echo`, killed when dropped.
struct Server {
    child: Child,
    /// Where it says it listens.
    place: String,
}

impl Server {
    fn start(endpoint: &str) -> Self {
        Self::run(Command::new(example("endpoint_echo")).arg(endpoint))
    }

    fn run(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
        let place = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("it says {line}")).to_owned();
        Self { child, place }
    }

    /// The port the system gave it.
    fn port(&self) -> &str {
        self.place.rsplit(':').next().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn cat(endpoint: &str, input: &[u8]) -> Output {
    output_of(Command::new(example("endpoint_cat")).arg(endpoint), input).unwrap()
}

fn assert_echoes(endpoint: &str) {
    let output = cat(endpoint, b"a line\n");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        (output.stdout.escape_ascii().to_string(), output.status.code()),
        ("a line\\n".into(), Some(0)),
        "{endpoint}: {errors}"
    );
}

fn has_ipv6() -> bool {
    let has = TcpListener::bind("[::1]:0").is_ok();
    if !has {
        println!("skipped: there is no IPv6 here");
    }
    has
}

#[test]
fn tcp_and_unix_sockets_by_every_name_they_have() {
    let server = Server::start("tcp:0:interface=127.0.0.1");
    let port = server.port();
    for client in
        ["127.0.0.1:{}", "localhost:{}", "tcp:127.0.0.1:{}", "TCP:localhost:port={}:timeout=60", "tcp:host=127.0.0.1:{}"]
    {
        assert_echoes(&client.replace("{}", port));
    }
    let plain = Server::start("127.0.0.1:0");
    assert_echoes(&plain.place);
    if has_ipv6() {
        let server = Server::start("tcp6:0:interface=\\:\\:1");
        assert_echoes(&server.place);
        assert_echoes(&format!("tcp:\\:\\:1:{}", server.port()));
    }
    let folder = Folder::new("endpoint-unix");
    let _server = Server::start(&format!("{}:mode=600:backlog=5", folder.endpoint("s")));
    assert_echoes(&folder.endpoint("s"));
    assert_echoes(&format!("unix:path={}:timeout=60", folder.path("s")));
}

#[test]
fn ordinary_programs_are_answered() {
    let tcp = Server::start("tcp:0:interface=127.0.0.1");
    let folder = Folder::new("endpoint-peers");
    let _unix = Server::start(&folder.endpoint("s"));
    let path = folder.path("s");
    let (to_tcp, to_unix) = (format!("TCP:{}", tcp.place), format!("UNIX-CONNECT:{path}"));
    let long = LIMIT.as_secs().to_string();
    let programs: [(&str, &[&str]); 4] = [
        ("socat", &["-t", &long, "-", &to_tcp]),
        ("socat", &["-t", &long, "-", &to_unix]),
        ("nc", &["-N", "127.0.0.1", tcp.port()]),
        ("nc", &["-N", "-U", &path]),
    ];
    for (program, args) in programs {
        let Ok(output) = output_of(Command::new(program).args(args), b"from somebody else\n") else {
            println!("skipped: {program} is not installed");
            continue;
        };
        assert_eq!(output.stdout.escape_ascii().to_string(), "from somebody else\\n", "{program} {args:?}");
    }
}

#[test]
fn endpoint_cat_speaks_to_ordinary_servers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp:{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        stream.write_all(heard.to_uppercase().as_bytes()).unwrap();
    });
    let output = cat(&endpoint, b"half a close, and the answer behind it");
    assert_eq!(output.stdout.escape_ascii().to_string(), "HALF A CLOSE, AND THE ANSWER BEHIND IT", "{output:?}");
    assert_eq!(output.status.code(), Some(0));
    server.join().unwrap();
}

#[test]
fn much_more_than_any_buffer_comes_back_whole() {
    let server = Server::start("127.0.0.1:0");
    let much = pattern(0, 5 << 20);
    let output = cat(&server.place, &much);
    assert!(output.stdout == much, "{} bytes of {}", output.stdout.len(), much.len());
}

#[test]
fn a_client_that_cannot_connect_says_why_and_fails() {
    let folder = Folder::new("endpoint-none");
    let (refused, none) = (format!("tcp:{}", nobody()), folder.endpoint("none"));
    for (endpoint, why) in [
        (&refused[..], "nothing listens there"),
        (&none, "start its server"),
        ("tpc:localhost:80", "tpc"),
        ("tcp:localhost", "port"),
    ] {
        let output = cat(endpoint, b"hello\n");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{endpoint}: {text}");
        assert!(text.contains(why) && !text.contains("panicked"), "{endpoint}: {text}");
    }
}

#[test]
fn behind_a_proxy_the_header_comes_first() {
    let server = Server::start("haproxy:tcp:0:interface=127.0.0.1");
    let mut stream = TcpStream::connect(&server.place).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\nbehind the header").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(drain(&mut stream), (b"behind the header".to_vec(), Ok(())));
}

/// A line that compresses well.
fn repetitive() -> Vec<u8> {
    let mut line = b"the same words over and over, ".repeat(500);
    line.push(b'\n');
    line
}

#[test]
fn compressed_endpoints_understand_each_other_and_the_wire_is_compressed() {
    let line = repetitive();
    for format in formats() {
        let server = Server::start(&format!("compress:{format}:tcp:0:interface=127.0.0.1"));
        for client in [format!("compress:{format}:tcp:{}", server.place), format!("compress:deflate:level=1:{}", server.place)] {
            let output = cat(&client, &line);
            assert!(output.stdout == line, "{client}: {}", String::from_utf8_lossy(&output.stderr));
        }
        // The bytes on the wire: a client without detection receives them unchanged.
        let wire = cat(&format!("tcp:{}", server.place), &line).stdout;
        assert!(!wire.is_empty() && wire.len() < line.len() / 10, "{format}: {} bytes of {}", wire.len(), line.len());
    }
}

#[test]
fn what_a_compressed_client_sends_is_a_stream_that_others_read() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("compress:deflate:level=9:tcp:{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // In plaintext: a peer need not answer compressed bytes in kind.
        stream.write_all(b"welcome\n").unwrap();
        drain(&mut stream)
    });
    let line = repetitive();
    assert_eq!(cat(&endpoint, &line).stdout, b"welcome\n");
    let (wire, end) = server.join().unwrap();
    assert_eq!(end, Ok(()));
    assert!(wire.len() < line.len() / 10, "{} bytes", wire.len());
    let mut plain = Vec::new();
    flate2::read::ZlibDecoder::new(&wire[..]).read_to_end(&mut plain).expect("a whole stream, checksum and all");
    assert!(plain == line);
}

#[test]
fn two_forwarders_and_the_word_compress_are_a_compressed_leg() {
    let server = Server::start("127.0.0.1:0");
    let folder = Folder::new("endpoint-leg");
    let (front, leg) = (folder.endpoint("front"), folder.endpoint("leg"));
    let compressed = format!("compress:deflate:{leg}");
    let _far = Forwarder::start("portforward", &[&compressed, &server.place]);
    let _near = Forwarder::start("portforward", &[&front, &compressed]);
    let line = repetitive();
    assert!(cat(&front, &line).stdout == line);
    let wire = cat(&leg, &line).stdout;
    assert!(!wire.is_empty() && wire.len() < line.len() / 10, "{} bytes", wire.len());
}

/// `endpoint_echo` with a listening socket as its fourth descriptor, passed under the name `web` as systemd does it.
#[cfg(all(target_os = "linux", feature = "systemd"))]
fn with_passed_socket(listener: OwnedFd, endpoint: &str) -> Server {
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web exec \"$0\" \"$1\"";
    Server::run(Command::new("sh").args(["-c", script]).arg(example("endpoint_echo")).arg(endpoint).stdin(Stdio::from(listener)))
}

#[cfg(all(target_os = "linux", feature = "systemd"))]
#[test]
fn a_listening_socket_may_be_inherited_by_its_index_its_name_and_its_number() {
    for endpoint in ["systemd:domain=INET:index=0", "systemd:INET:name=web", "fd:3", "compress:deflate:fd:3"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = format!("tcp:{}", listener.local_addr().unwrap());
        let server = with_passed_socket(listener.into(), endpoint);
        if endpoint.starts_with("compress") {
            assert_echoes(&format!("compress:deflate:{client}"));
        } else {
            assert_echoes(&client);
        }
        assert_eq!(format!("tcp:{}", server.place), client);
    }
    let folder = Folder::new("endpoint-fd");
    let listener = UnixListener::bind(folder.path("s")).unwrap();
    let _server = with_passed_socket(listener.into(), "systemd:domain=UNIX:name=web");
    assert_echoes(&folder.endpoint("s"));
}

#[test]
fn standard_input_and_output_are_an_endpoint_too() {
    let mut echo = Command::new(example("endpoint_echo"));
    let mut child = echo.arg("stdio:").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"a line\n").unwrap();
    let mut line = String::new();
    child.stdout.take().unwrap().read_to_string(&mut line).unwrap();
    // Its reactor runs on, with nothing left to do.
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(line, "a line\n");
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;

    /// Keys made by the example `make_keys`, and a folder with only the authority, for `trustRoots`.
    fn keys(folder: &Folder) -> (String, String) {
        let (keys, roots) = (folder.path("keys"), folder.path("roots"));
        assert!(Command::new(example("make_keys")).arg(&keys).stdout(Stdio::null()).status().unwrap().success());
        std::fs::create_dir(&roots).unwrap();
        std::fs::copy(format!("{keys}/ca.pem"), format!("{roots}/ca.pem")).unwrap();
        (keys, roots)
    }

    fn server(keys: &str, before: &str) -> Server {
        Server::start(&format!("{before}ssl:0:interface=127.0.0.1:privateKey={keys}/server.key:certKey={keys}/server.pem"))
    }

    #[test]
    fn tls_is_checked_for_the_host_and_compression_goes_within() {
        let folder = Folder::new("endpoint-tls");
        let (keys, roots) = keys(&folder);
        let plain = server(&keys, "");
        let compressed = server(&keys, "compress:deflate:");
        for (server, layer) in [(&plain, ""), (&plain, "compress:deflate:"), (&compressed, "compress:gzip:")] {
            let port = server.port();
            assert_echoes(&format!("{layer}tls:localhost:{port}:trustRoots={roots}"));
            assert_echoes(&format!("{layer}ssl:127.0.0.1:{port}:hostname=example.com:caCertsDir={roots}"));
        }
        let other = cat(&format!("ssl:127.0.0.1:{}:hostname=example.net:caCertsDir={roots}", plain.port()), b"secret");
        assert_eq!((other.stdout.len(), other.status.code()), (0, Some(1)), "{other:?}");
        let unknown = cat(&format!("tls:localhost:{}:trustRoots={}", plain.port(), folder.path("none")), b"secret");
        assert_eq!((unknown.stdout.len(), unknown.status.code()), (0, Some(1)), "{unknown:?}");
    }

    #[test]
    fn openssl_is_answered() {
        let folder = Folder::new("endpoint-openssl");
        let (keys, roots) = keys(&folder);
        let server = server(&keys, "");
        let (place, ca) = (server.place.as_str(), format!("{roots}/ca.pem"));
        let args =
            ["s_client", "-quiet", "-connect", place, "-CAfile", &ca, "-verify_return_error", "-verify_hostname", "localhost"];
        let mut openssl = Command::new("openssl");
        let spawned = openssl.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut client) = spawned else {
            println!("skipped: openssl is not installed");
            return;
        };
        client.stdin.as_mut().unwrap().write_all(b"hello from openssl\n").unwrap();
        let mut line = String::new();
        BufReader::new(client.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        client.kill().unwrap();
        client.wait().unwrap();
        assert_eq!(line, "hello from openssl\n");
    }
}
