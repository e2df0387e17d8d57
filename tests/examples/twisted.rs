//! The ports of Twisted's example programs against the originals, byte for byte, over sockets.
//!
//! Needs Python with Twisted (`TORSADE_PYTHON`, by default `python3`), and the originals, which are in Twisted's source but not
//! in its package: `TORSADE_TWISTED_DOCS` is the path of its `docs/core`. Without them the comparisons are skipped, and the ports
//! still run.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread::{self, JoinHandle};

use crate::programs;
use crate::support::{self, LIMIT};
use torsade::prelude::*;
use torsade::{ReactorHandle, SystemEvent};

/// What a test does as the clients of a server; connections are numbered from 0.
#[derive(Clone, Copy)]
enum Step {
    Connect,
    Send(usize, &'static str),
    /// Reads this many lines, and keeps them.
    Lines(usize, usize),
    /// Reads this many bytes, and keeps them.
    Bytes(usize, usize),
    /// Reads to the end of the stream, and keeps what was read.
    End(usize),
}

use Step::{Bytes, Connect, End, Lines, Send};

/// Performs the steps; returns what was received on each connection.
fn drive(address: SocketAddr, steps: &[Step]) -> BTreeMap<usize, Vec<u8>> {
    let mut streams: Vec<BufReader<TcpStream>> = Vec::new();
    let mut heard: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    for step in steps {
        match *step {
            Connect => {
                streams.push(BufReader::new(support::connect(address)));
            }
            Send(number, data) => streams[number].get_mut().write_all(data.as_bytes()).unwrap(),
            Lines(number, count) => {
                for _ in 0..count {
                    streams[number].read_until(b'\n', heard.entry(number).or_default()).unwrap();
                }
            }
            Bytes(number, count) => {
                let mut data = vec![0; count];
                streams[number].read_exact(&mut data).unwrap();
                heard.entry(number).or_default().extend(data);
            }
            End(number) => drop(streams[number].read_to_end(heard.entry(number).or_default()).unwrap()),
        }
    }
    heard
}

/// The port of an example, on a reactor in its own thread; stopped when dropped.
struct Served {
    address: SocketAddr,
    handle: ReactorHandle,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    fn new(start: Start) -> Self {
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let reactor = Reactor::new().unwrap();
            let port = start(&reactor, "127.0.0.1:0").unwrap();
            let address = support::address(&port);
            let handle = reactor.handle();
            // A stop before the start would be an error.
            reactor.add_system_event_trigger(torsade::Phase::After, SystemEvent::Startup, move || {
                tell.send((address, handle)).unwrap();
            });
            reactor.run().unwrap();
        });
        let (address, handle) = told.recv_timeout(LIMIT).unwrap();
        Self { address, handle, thread: Some(thread) }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.handle.call_from_thread(|reactor| reactor.stop().unwrap_or_default()).ok();
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

/// An original program; killed when dropped.
struct Original(Child);

impl Original {
    /// Starts a program of Twisted's, or prints why it cannot.
    fn start(name: &str, port: Option<u16>) -> Option<Self> {
        static HAS_TWISTED: OnceLock<bool> = OnceLock::new();
        let python = std::env::var_os("TORSADE_PYTHON").unwrap_or_else(|| "python3".into());
        let found = HAS_TWISTED.get_or_init(|| {
            let check = Command::new(&python).args(["-c", "import twisted"]).stderr(Stdio::null()).status();
            check.is_ok_and(|status| status.success())
        });
        if !found {
            println!("skipped the comparison with {name}: there is no Python with Twisted (TORSADE_PYTHON names one)");
            return None;
        }
        let Some(docs) = std::env::var_os("TORSADE_TWISTED_DOCS").map(PathBuf::from) else {
            println!("skipped the comparison with {name}: TORSADE_TWISTED_DOCS does not name docs/core of Twisted's source");
            return None;
        };
        let launcher = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/twisted/original.py");
        let mut command = Command::new(python);
        command.arg(launcher).arg(docs.join(name)).args(port.map(|port| port.to_string()));
        Some(Self(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()))
    }

    /// Where it listens: the launcher prints that among the program's own output.
    fn address(&mut self) -> SocketAddr {
        let lines = BufReader::new(self.0.stdout.as_mut().unwrap()).lines();
        let ports = lines.map_while(std::io::Result::ok).filter_map(|line| line.strip_prefix("port ")?.parse().ok());
        SocketAddr::from(([127, 0, 0, 1], { ports }.next().expect("the launcher prints the port")))
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// How an example is started.
type Start = fn(&Reactor, &str) -> Result<Port>;

/// Runs the steps against a port, and against its original if that is installed; returns what the port sent.
fn compare(name: &str, start: Start, steps: &[Step]) -> BTreeMap<usize, Vec<u8>> {
    let served = Served::new(start);
    let ours = drive(served.address, steps);
    if let Some(mut original) = Original::start(name, None) {
        let theirs = drive(original.address(), steps);
        assert_eq!(shown(&ours), shown(&theirs), "{name}");
        println!("{name}: the same as the original");
    }
    ours
}

fn shown(heard: &BTreeMap<usize, Vec<u8>>) -> Vec<String> {
    heard.values().map(|data| data.escape_ascii().to_string()).collect()
}

#[test]
fn echo_servers_send_back_every_byte() {
    let steps = [Connect, Send(0, "hello"), Bytes(0, 5), Send(0, "\0\r\n more"), Bytes(0, 8)];
    for name in ["examples/echoserv.py", "examples/simpleserv.py"] {
        assert_eq!(compare(name, programs::echo_server::start, &steps)[&0], b"hello\0\r\n more");
    }
}

#[test]
fn the_basic_chat_sends_each_line_to_everybody() {
    let steps = [
        Connect,
        Connect,
        Send(1, "from the second\r\n"),
        Lines(1, 1),
        Lines(0, 1),
        Send(0, "one\r\ntw"),
        Send(0, "o\r\n\r\n"),
        Lines(0, 3),
        Lines(1, 3),
    ];
    let heard = compare("examples/chatserver.py", programs::chatserver::start, &steps);
    assert_eq!(heard[&0], b"from the second\none\ntwo\n\n");
    assert_eq!(heard[&1], heard[&0]);
}

#[test]
fn the_chat_of_the_guide_keeps_names_apart() {
    let steps = [
        Connect,
        Lines(0, 1),
        Send(0, "ada\r\n"),
        Lines(0, 1),
        Connect,
        Lines(1, 1),
        Send(1, "ada\r\n"),
        Lines(1, 1),
        Send(1, "grace\r\nhello\r\n"),
        Lines(1, 1),
        Lines(0, 1),
        Send(0, "good day\r\n"),
        Lines(1, 1),
    ];
    let heard = compare("howto/listings/servers/chat.py", programs::chat_server::start, &steps);
    assert_eq!(heard[&0], b"What's your name?\r\nWelcome, ada!\r\n<grace> hello\r\n");
}

#[test]
fn long_calculations_are_exact_and_errors_are_told() {
    let steps = [
        Connect,
        Send(0, "2 3 4\r\n10\r\n"),
        Lines(0, 2),
        Send(0, "123456789012345678901234567890 -987654321098765432109876543210 3\r\nx y\r\n0 -5\r\n+7 007\r\n"),
        Lines(0, 4),
        Send(0, "99999 99999 99999 99999 99999\r\n\r\n"),
        Lines(0, 2),
    ];
    let heard = compare("examples/longex.py", programs::longex::start, &steps);
    assert!(heard[&0].starts_with(b"Error.\r\n24\r\n"), "{}", heard[&0].escape_ascii());
}

#[test]
fn streaming_sends_as_many_numbers_as_asked_for_and_closes() {
    for (request, count) in [("0\r\n", 0), ("1\r\n", 1), (" 5000 \r\n", 5000)] {
        let steps = [Connect, Lines(0, 1), Send(0, request), End(0)];
        let count_of = |heard: &BTreeMap<usize, Vec<u8>>| {
            let text = String::from_utf8(heard[&0].clone()).unwrap();
            let (question, numbers) = text.split_once("\r\n").unwrap();
            assert_eq!(question, "How many random integers do you want?");
            numbers.split_terminator("\r\n").filter(|number| number.parse::<u32>().unwrap() < 10_000).count()
        };
        // The numbers are random: only their format and count are compared.
        let served = Served::new(programs::streaming::start);
        assert_eq!(count_of(&drive(served.address, &steps)), count);
        if let Some(mut original) = Original::start("examples/streaming.py", None) {
            assert_eq!(count_of(&drive(original.address(), &steps)), count);
        }
    }
}

#[test]
fn the_remote_calculator_answers_and_closes_on_nonsense() {
    let steps = [
        Connect,
        Send(0, "add 1 2\r\nsubtract 1 2\r\nmultiply -3 4\r\ndivide 7 -2\r\ndivide -7 2\r\ndivide -7 -2\r\nadd a b\r\n"),
        Lines(0, 7),
        Send(0, "add 1\r\n"),
        End(0),
        Connect,
        Send(1, "divide 1 0\r\n"),
        End(1),
        Connect,
        Send(2, "power 1 0\r\n"),
        End(2),
    ];
    let heard = compare("howto/listings/trial/calculus/remote_2.py", programs::remote_2::start, &steps);
    assert_eq!(heard[&0], b"3\r\n-1\r\n-12\r\n-4\r\n-4\r\n3\r\nerror\r\n");
}

#[test]
fn the_finger_tutorial_grows_step_by_step() {
    let ask = [Connect, Send(0, "moshez\r\n"), End(0), Connect, Send(1, "nobody\r\n"), End(1)];
    let start: [(u32, Start, &str); 5] = [
        (4, programs::finger04::start, ""),
        (5, programs::finger05::start, "No such user\r\n"),
        (6, programs::finger06::start, "No such user\r\n"),
        (7, programs::finger07::start, "Happy and well\r\n"),
        (8, programs::finger08::start, "Happy and well\r\n"),
    ];
    for (number, start, answer) in start {
        let heard = compare(&format!("howto/tutorial/listings/finger/finger{number:02}.py"), start, &ask);
        assert_eq!(heard[&0], answer.as_bytes(), "finger{number:02}");
    }
    compare("howto/tutorial/listings/finger/finger03.py", programs::finger03::start, &[Connect, End(0)]);
    // It ignores its input, so there is nothing to check but that it accepts it.
    compare("howto/tutorial/listings/finger/finger02.py", programs::finger02::start, &[Connect, Send(0, "moshez\r\n")]);
}

/// Serves one client: sends back what arrives, and returns it when the client has closed.
fn echo_once(listener: &TcpListener) -> Vec<u8> {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut heard = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            count => {
                heard.extend_from_slice(&buffer[..count]);
                stream.write_all(&buffer[..count]).unwrap();
            }
        }
    }
    stream.shutdown(Shutdown::Write).ok();
    heard
}

fn compare_client(name: &str, start: fn(&Reactor, &str) -> Result<Connector>, expected: &[u8]) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = thread::spawn(move || {
        let reactor = Reactor::new().unwrap();
        start(&reactor, &address.to_string()).unwrap();
        reactor.run().unwrap();
    });
    assert_eq!(echo_once(&listener), expected, "{name}");
    client.join().unwrap();
    if let Some(mut original) = Original::start(name, Some(address.port())) {
        assert_eq!(echo_once(&listener), expected, "the original of {name}");
        assert!(original.0.wait().unwrap().success());
    }
}

#[test]
fn clients_say_the_same_and_end_after_the_answer() {
    let lines = b"Hello, world!\r\nWhat a fine day it is.\r\nBye-bye!\r\n";
    compare_client("examples/echoclient.py", programs::echoclient::start, lines);
    compare_client("examples/simpleclient.py", programs::echo_client::start, b"hello, world!");
}
