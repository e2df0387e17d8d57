//! The peers that send, and those that wait.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use torsade::Result;

use super::input::Kind;
#[cfg(feature = "tls")]
use super::input::Way;
#[cfg(feature = "tls")]
use crate::rustls_peer;

/// How many peers send.
const HOSTILE: usize = 64;

/// The first argument of the sending process.
pub const FLOOD: &str = "--flood";

/// How long the sockets get to fill up.
const FILLING: Duration = Duration::from_millis(300);

/// What the waiting peers request.
const QUESTION: [u8; 16] = *b"0123456789abcdef";

/// A peer that sends without end.
struct Sender {
    socket: TcpStream,
    /// What to send next, and from where on.
    bytes: Vec<u8>,
    sent: usize,
    #[cfg(feature = "tls")]
    tls: Option<rustls::ClientConnection>,
}

impl Sender {
    fn connect(address: SocketAddr, kind: &Kind) -> Result<Self> {
        let mut socket = TcpStream::connect(address)?;
        #[cfg(feature = "tls")]
        let tls = if kind.way == Way::Tls { Some(rustls_peer::handshake(&mut socket)?) } else { None };
        Ok(Self {
            socket,
            bytes: kind.begin.clone(),
            sent: 0,
            #[cfg(feature = "tls")]
            tls,
        })
    }

    /// Sends as much of one piece as the socket takes, waiting for room. An error means that the server has closed the
    /// connection.
    fn send(&mut self, kind: &Kind) -> std::io::Result<()> {
        if self.sent == self.bytes.len() {
            self.refill(kind)?;
        }
        self.sent += self.socket.write(&self.bytes[self.sent..])?;
        Ok(())
    }

    fn refill(&mut self, kind: &Kind) -> std::io::Result<()> {
        self.sent = 0;
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            self.bytes.clear();
            return kind.unit[..1000].chunks(1).try_for_each(|byte| rustls_peer::record(tls, byte, &mut self.bytes));
        }
        self.bytes.clone_from(&kind.unit);
        Ok(())
    }
}

/// Sends on all hostile connections for ever: the program of the process that `flood` starts.
pub fn send_for_ever(address: SocketAddr, kind: &Kind) -> Result {
    let senders: Vec<Sender> = (0..HOSTILE).map(|_| Sender::connect(address, kind)).collect::<Result<_>>()?;
    println!("connected");
    // Threads that only wait for room, so that the sockets of all kinds stay full, those of plain floods too.
    thread::scope(|scope| {
        for mut sender in senders {
            scope.spawn(move || {
                loop {
                    thread::sleep(kind.pause);
                    if sender.send(kind).is_err() {
                        match Sender::connect(address, kind) {
                            Ok(anew) => sender = anew,
                            Err(_) => thread::sleep(FILLING),
                        }
                    }
                }
            });
        }
    });
    Ok(())
}

/// Runs `act` while peers of one kind send. They are in a process of the lowest priority, since they stand for other machines and
/// must not take processor time from the server.
pub fn flood<T>(address: SocketAddr, kind: &Kind, act: impl FnOnce() -> T) -> Result<T> {
    let mut nice = Command::new("nice");
    nice.args(["-n", "19"]).arg(std::env::current_exe()?).args([FLOOD, &address.to_string(), kind.name]);
    let mut peers = nice.stdout(Stdio::piped()).spawn()?;
    let connected = peers.stdout.take().is_some_and(|output| BufReader::new(output).lines().next().is_some());
    if !connected {
        return Err(format!("the peers that send {} do not connect", kind.name).into());
    }
    thread::sleep(FILLING);
    let result = act();
    peers.kill()?;
    peers.wait()?;
    Ok(result)
}

/// How long each request on `others` connections waits for its answer, in milliseconds, including those still unanswered at the
/// end. After an answer each waits as many milliseconds as there are others: together they make one request each millisecond.
pub fn probe(address: SocketAddr, others: u32, measured: Duration) -> Result<Vec<f64>> {
    let pause = Duration::from_millis(1) * others;
    let begun = Instant::now();
    let mut sockets = Vec::new();
    for number in 0..others {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        sockets.push((socket, begun + pause * number / others, None::<Instant>));
    }
    let mut waits = Vec::new();
    let mut answer = [0; QUESTION.len()];
    while begun.elapsed() < measured {
        for (socket, next, asked) in &mut sockets {
            match *asked {
                None if *next <= Instant::now() => {
                    socket.write_all(&QUESTION)?;
                    *asked = Some(Instant::now());
                }
                Some(since) if socket.read(&mut answer).is_ok() => {
                    waits.push(since.elapsed().as_secs_f64() * 1e3);
                    *next = Instant::now() + pause;
                    *asked = None;
                }
                _ => {}
            }
        }
        thread::sleep(Duration::from_micros(50));
    }
    waits.extend(sockets.iter().filter_map(|(_, _, asked)| asked.map(|since| since.elapsed().as_secs_f64() * 1e3)));
    Ok(waits)
}
