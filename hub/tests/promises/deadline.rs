//! Deadlines by the clock that decides them: that of the simulated network, or a real broker's own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use torsade::simulated::Simulation;

/// A deadline that starts when this is made.
///
/// Beside a real broker it is an entry of the test's own, which the broker forgets after that time: however slow the machine is,
/// what the broker was to forget earlier is gone once this is.
pub enum Deadline {
    Simulated { simulation: Simulation, end: Duration },
    Redis { client: Client, name: String },
    Nats { client: Client, name: String },
}

/// A unique name.
fn name() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    format!("deadline-{}", MADE.fetch_add(1, Ordering::Relaxed))
}

impl Deadline {
    pub fn simulated(simulation: &Simulation, time: Duration) -> Self {
        Self::Simulated { simulation: simulation.clone(), end: simulation.now() + time }
    }

    /// A key that expires.
    pub fn redis(port: u16, time: Duration) -> Self {
        let (mut client, name) = (Client::connect(port), name());
        client.say(&format!("SET {name} 1 PX {}", time.as_millis()));
        assert_eq!(client.line(), "+OK");
        Self::Redis { client, name }
    }

    /// A stream with one message and a maximum age.
    pub fn nats(port: u16, time: Duration) -> Self {
        let (mut client, name) = (Client::connect(port), name());
        client.say("CONNECT {\"verbose\":false,\"pedantic\":false}");
        client.say(&format!("SUB {name}.answers 1"));
        let age = time.as_nanos();
        let settings = format!(r#"{{"name":"{name}","subjects":["{name}"],"storage":"memory","max_age":{age}}}"#);
        client.ask_jetstream(&name, &format!("$JS.API.STREAM.CREATE.{name}"), &settings);
        client.ask_jetstream(&name, &name, "");
        Self::Nats { client, name }
    }

    pub fn has_passed(&mut self) -> bool {
        match self {
            Self::Simulated { simulation, end } => simulation.now() > *end,
            Self::Redis { client, name } => {
                client.say(&format!("EXISTS {name}"));
                client.line() == ":0"
            }
            Self::Nats { client, name } => {
                let said = client.ask_jetstream(name, &format!("$JS.API.STREAM.INFO.{name}"), "");
                said.contains(r#""messages":0,"#)
            }
        }
    }
}

/// A simple client that waits for each answer.
pub struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        // Not a measurement; it only keeps the test from hanging.
        stream.set_read_timeout(Some(Duration::from_secs(300))).unwrap();
        Self(BufReader::new(stream))
    }

    fn say(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\r\n").as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the broker has closed the connection");
        line.trim_end().to_owned()
    }

    /// Returns JetStream's answer to a message.
    fn ask_jetstream(&mut self, name: &str, subject: &str, payload: &str) -> String {
        self.say(&format!("PUB {subject} {name}.answers {}\r\n{payload}", payload.len()));
        // Skips the server's greeting and its pings.
        let length = loop {
            let line = self.line();
            assert!(!line.starts_with("-ERR"), "{line}");
            if line.starts_with("MSG ") {
                break line.rsplit(' ').next().and_then(|length| length.parse::<usize>().ok()).expect("a length");
            }
        };
        let mut answer = vec![0; length + 2];
        self.0.read_exact(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(!answer.contains(r#""error""#), "{answer}");
        answer
    }
}
