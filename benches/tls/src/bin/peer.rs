//! The client of `compare`: `peer KIND ADDRESS CERT COUNT`, one thread, blocking.
//!
//! It works in steps. Before each step it prints "ready" and waits for a line, and after the last it prints "done", so that the
//! server's processor time can be read while nothing happens.
//!
//! - `full13`, `full12`: COUNT times connects, makes a full handshake of that version, has [`SMALL`] bytes sent back, and ends
//!   the connection both ways.
//! - `resumed13`, `resumed12`: the same, resuming a session of the connection before; fails when that was not done.
//! - `download`, `upload`: COUNT times [`BULK`] bytes, on a connection of its own.
//! - `small`: on [`CONNECTIONS`] connections COUNT echoes of [`SMALL`] bytes, 1,000 a second; then as many, all connections at
//!   once.
//! - `idle`: COUNT connections that say nothing.

use std::error::Error;
use std::io::{Read, Write, stdin};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

/// The length of a GET's answer and of a PUT's body.
const BULK: usize = 256 << 20;

/// How many connections send small messages, and their size.
const CONNECTIONS: usize = 1000;
const SMALL: usize = 100;

type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;
type Tls = StreamOwned<ClientConnection, TcpStream>;

struct Peer {
    config: Arc<ClientConfig>,
    address: String,
}

impl Peer {
    fn new(kind: &str, address: String, certificate: &str) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certificate)?)?;
        let version = if kind.ends_with("12") { &TLS12 } else { &TLS13 };
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        if !kind.starts_with("resumed") {
            config.resumption = Resumption::disabled();
        }
        Ok(Self { config: Arc::new(config), address })
    }

    /// A connection whose handshake is complete on this side.
    fn connect(&self) -> Result<Tls> {
        let mut socket = TcpStream::connect(&self.address)?;
        socket.set_nodelay(true)?;
        let mut session = ClientConnection::new(Arc::clone(&self.config), ServerName::try_from("localhost")?)?;
        while session.is_handshaking() || session.wants_write() {
            session.complete_io(&mut socket)?;
        }
        Ok(StreamOwned::new(session, socket))
    }

    /// A handshake, an echo, and the end of both streams. Returns whether a session was resumed.
    fn visit(&self) -> Result<bool> {
        let mut stream = self.connect()?;
        let resumed = stream.conn.handshake_kind() == Some(HandshakeKind::Resumed);
        ask(&mut stream)?;
        // Tickets come before the answer.
        answered(&mut stream)?;
        stream.conn.send_close_notify();
        stream.flush()?;
        stream.sock.shutdown(Shutdown::Write)?;
        // Not every server ends with close_notify.
        stream.read_to_end(&mut Vec::new()).ok();
        Ok(resumed)
    }

    fn handshakes(&self, count: usize, resumed: bool) -> Result {
        self.visit()?;
        step("ready")?;
        for number in 0..count {
            if self.visit()? != resumed {
                return Err(format!("handshake {number}: a session was resumed, or not, against what was asked for").into());
            }
        }
        Ok(())
    }

    fn download(&self, count: usize) -> Result {
        step("ready")?;
        let mut room = vec![0; 1 << 18];
        for _ in 0..count {
            let mut stream = self.connect()?;
            stream.write_all(b"GET /bulk HTTP/1.0\r\n\r\n")?;
            let mut received = 0;
            while received < BULK {
                match stream.read(&mut room)? {
                    0 => return Err(format!("only {received} bytes").into()),
                    length => received += length,
                }
            }
        }
        Ok(())
    }

    fn upload(&self, count: usize) -> Result {
        step("ready")?;
        let mut piece = vec![b'x'; 1 << 16];
        piece[..4].copy_from_slice(b"PUT ");
        for _ in 0..count {
            let mut stream = self.connect()?;
            for _ in 0..BULK / piece.len() {
                stream.write_all(&piece)?;
            }
            stream.read_exact(&mut [0; 4])?;
        }
        Ok(())
    }

    fn small(&self, count: usize) -> Result {
        let mut streams = self.idle(CONNECTIONS)?;
        for stream in &mut streams {
            ask(stream)?;
            answered(stream)?;
        }
        step("ready")?;
        let begin = Instant::now();
        for number in 0..count {
            std::thread::sleep((begin + Duration::from_millis(number as u64)).saturating_duration_since(Instant::now()));
            let stream = &mut streams[number % CONNECTIONS];
            ask(stream)?;
            answered(stream)?;
        }
        step("ready")?;
        for _ in 0..count / CONNECTIONS {
            streams.iter_mut().try_for_each(ask)?;
            streams.iter_mut().try_for_each(answered)?;
        }
        Ok(())
    }

    fn idle(&self, count: usize) -> Result<Vec<Tls>> {
        (0..count).map(|_| self.connect()).collect()
    }
}

fn ask(stream: &mut Tls) -> Result {
    stream.write_all(&[b'm'; SMALL])?;
    Ok(stream.flush()?)
}

fn answered(stream: &mut Tls) -> Result {
    Ok(stream.read_exact(&mut [0; SMALL])?)
}

/// Prints `what`, and waits for a line.
fn step(what: &str) -> Result {
    println!("{what}");
    stdin().read_line(&mut String::new())?;
    Ok(())
}

fn main() -> Result {
    let [kind, address, certificate, count] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "KIND ADDRESS CERT COUNT")?;
    let peer = Peer::new(&kind, address, &certificate)?;
    let count = count.parse()?;
    let mut kept = Vec::new();
    match &*kind {
        "full12" | "full13" => peer.handshakes(count, false)?,
        "resumed12" | "resumed13" => peer.handshakes(count, true)?,
        "download" => peer.download(count)?,
        "upload" => peer.upload(count)?,
        "small" => peer.small(count)?,
        "idle" => kept = peer.idle(count)?,
        other => return Err(format!("no such kind: {other}").into()),
    }
    step("done")?;
    drop(kept);
    Ok(())
}
