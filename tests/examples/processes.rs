//! The examples do what their headers say, as separate processes and with ordinary peers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use crate::support::*;

/// An example that listens; killed when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
    output: BufReader<ChildStdout>,
}

impl Server {
    fn start(name: &str, args: &[&str]) -> Self {
        let mut child = Command::new(example(name)).args(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").expect("it says where it listens").parse().unwrap();
        Self { child, address, output }
    }

    fn on_free_port(name: &str) -> Self {
        Self::start(name, &["127.0.0.1:0"])
    }

    fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// Ends it as a service manager does; `None` where that is not possible.
    fn terminate(mut self) -> Option<i32> {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        if !sent.is_ok_and(|status| status.success()) {
            println!("skipped: there is no kill command");
            return None;
        }
        let code = self.child.wait().unwrap().code().expect("it ends by itself");
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        Some(code)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may already have exited.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn client(name: &str, args: &[&str], input: &[u8]) -> Output {
    output_of(Command::new(example(name)).args(args), input).unwrap()
}

fn python(script: &str, args: &[&str]) -> Option<Child> {
    let version = Command::new("python3").args(["-c", "import zlib"]).output();
    if !version.is_ok_and(|output| output.status.success()) {
        println!("skipped: python3 with zlib is not installed");
        return None;
    }
    let child = Command::new("python3").args(["-c", script]).args(args).stdout(Stdio::piped()).spawn().unwrap();
    Some(child)
}

#[test]
fn quickstart_prints_the_lines_and_the_bytes_saved() {
    let output = Command::new(example("quickstart")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for word in ["one", "two", "three"] {
        assert!(
            text.contains(&format!("server got:  {word}")) && text.contains(&format!("client got:  you said {word}")),
            "{text}"
        );
    }
    let sent = text.lines().find_map(|line| line.strip_prefix("server sent: ")).expect("the bytes");
    let numbers: Vec<u64> = sent.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [plain, wire] = numbers[..] else { panic!("{sent}") };
    assert!(wire > 0 && wire < plain, "{sent}");
}

#[test]
fn echo_server_answers_and_its_client_prints() {
    let server = Server::on_free_port("echo_server");
    let mut stream = server.connect();
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(drain(&mut stream), (b"hello".to_vec(), Ok(())));
    let output = client("echo_client", &[&server.address.to_string()], b"");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("the server said: hello, world!"), "{text}");
    assert_eq!(output.status.code(), Some(0));
    let address = server.address.to_string();
    if server.terminate().is_some_and(|code| {
        assert_eq!(code, 0, "an orderly stop");
        true
    }) {
        let output = client("echo_client", &[&address], b"");
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8(output.stderr).unwrap().contains("refused"));
    }
}

#[cfg(unix)]
#[test]
fn stdin_client_passes_lines_from_standard_input_to_a_server_and_back() {
    let server = Server::on_free_port("echo_server");
    let lines: String = (0..100_000).map(|number| format!("line {number}\n")).collect();
    let output = client("stdin_client", &[&server.address.to_string()], lines.as_bytes());
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n") == lines);
}

#[test]
fn a_server_that_cannot_listen_says_why_and_fails() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (address, why) in [
        (address.as_str(), "the port is in use"),
        ("nonsense", "there is no type \"nonsense\""),
        ("localhost:0", "write an IP address"),
    ] {
        let output = Command::new(example("echo_server")).arg(address).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_ne!(output.status.code(), Some(0));
        assert!(!text.contains("panicked"), "{text}");
        assert!(text.contains(why), "{why}: {text}");
    }
}

#[test]
fn chat_server_is_the_chat_of_the_guide() {
    let server = Server::on_free_port("chat_server");
    let mut lines: Vec<(TcpStream, BufReader<TcpStream>)> = (0..2)
        .map(|_| {
            let stream = server.connect();
            (stream.try_clone().unwrap(), BufReader::new(stream))
        })
        .collect();
    let mut say = |who: usize, text: &str| lines[who].0.write_all(format!("{text}\r\n").as_bytes()).unwrap();
    let mut ears: Vec<BufReader<TcpStream>> = Vec::new();
    say(0, "ann");
    for (_, reader) in &mut lines {
        ears.push(BufReader::new(reader.get_ref().try_clone().unwrap()));
    }
    let hear = |ears: &mut Vec<BufReader<TcpStream>>, who: usize| {
        let mut line = String::new();
        ears[who].read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    assert_eq!(hear(&mut ears, 0), "What's your name?");
    assert_eq!(hear(&mut ears, 0), "Welcome, ann!");
    assert_eq!(hear(&mut ears, 1), "What's your name?");
    let mut say = |who: usize, text: &str| lines[who].0.write_all(format!("{text}\r\n").as_bytes()).unwrap();
    say(1, "ann");
    assert_eq!(hear(&mut ears, 1), "Name taken, please choose another.");
    say(1, "bob");
    assert_eq!(hear(&mut ears, 1), "Welcome, bob!");
    say(1, "hello");
    assert_eq!(hear(&mut ears, 0), "<bob> hello");
    say(0, "hi");
    assert_eq!(hear(&mut ears, 1), "<ann> hi");
    // A name is free again once its owner has left.
    drop(ears);
    drop(lines);
    let mut stream = server.connect();
    let mut ear = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    ear.read_line(&mut line).unwrap();
    for _ in 0..100 {
        stream.write_all(b"ann\r\n").unwrap();
        line.clear();
        ear.read_line(&mut line).unwrap();
        if line.starts_with("Welcome") {
            break;
        }
    }
    assert_eq!(line, "Welcome, ann!\r\n");
}

#[test]
fn portforward_passes_everything_on_both_ways_and_half_closes() {
    const SIZE: usize = 3 << 20;
    let target = Server::on_free_port("echo_server");
    let server = Server::start("portforward", &["127.0.0.1:0", &target.address.to_string()]);
    let mut stream = server.connect();
    let mut sender = stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        sender.write_all(&pattern(0, SIZE)).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let (got, end) = drain(&mut stream);
    sending.join().unwrap();
    assert_eq!(end, Ok(()));
    assert!(got == pattern(0, SIZE), "{} bytes", got.len());
    // Without a target, the client is disconnected instead of left hanging.
    drop(target);
    let mut stream = server.connect();
    let (got, end) = drain(&mut stream);
    assert!(got.is_empty() && end.is_err(), "{end:?}");
}

#[test]
fn the_articles_two_programs_talk() {
    let server = Server::on_free_port("compressed_server");
    let address = server.address.to_string();
    let output = client("compressed_client", &[&address], b"alpha\nbeta\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout).replace('\r', ""), "alpha\nbeta\n");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    // With `--expect`, it can read the same server.
    let output = client("compressed_client", &[&address, "--expect", "deflate"], b"gamma\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout).replace('\r', ""), "gamma\n");
}

#[test]
fn the_line_of_a_plain_client_is_answered_as_one_zlib_stream() {
    let server = Server::on_free_port("compressed_server");
    let mut stream = server.connect();
    stream.write_all(b"as nc sends it\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let (wire, end) = drain(&mut stream);
    assert_eq!(end, Ok(()));
    assert_eq!(wire.first(), Some(&0x78));
    let mut plain = String::new();
    flate2::read::ZlibDecoder::new(&wire[..]).read_to_string(&mut plain).expect("a whole stream, checksum and all");
    assert_eq!(plain, "as nc sends it\n");
}

#[test]
fn an_ordinary_python_client_reads_the_compressed_server_message_by_message() {
    const SCRIPT: &str = "
import socket, sys, zlib
host, port = sys.argv[1].rsplit(':', 1)
s = socket.create_connection((host, int(port)), 120)
z = zlib.decompressobj()
for number in range(20):
    line = b'message %d\\n' % number
    s.sendall(line)
    got = b''
    while not got.endswith(b'\\n'):
        data = s.recv(65536)
        assert data, 'the server has closed'
        got += z.decompress(data)
    assert got.rstrip() == line.rstrip(), got
s.shutdown(socket.SHUT_WR)
while True:
    data = s.recv(65536)
    if not data: break
    z.decompress(data)
assert z.eof and not z.unused_data
";
    let server = Server::on_free_port("compressed_server");
    let Some(child) = python(SCRIPT, &[&server.address.to_string()]) else { return };
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
}

/// A Python server that sends `sys.argv[1]`: an announced stream with sync flushes, or an ordinary zlib stream.
const PYTHON_SERVER: &str = "
import socket, sys, zlib
listener = socket.create_server(('127.0.0.1', 0))
print('127.0.0.1:%d' % listener.getsockname()[1], flush=True)
s, _ = listener.accept()
s.settimeout(120)
if sys.argv[1] == 'announced':
    s.sendall(bytes.fromhex('789c' 'a00000ffff500000ffffd80000ffff'))
    z, adler = zlib.compressobj(wbits=-15), 1
    for message in [b'hello ', b'world\\n']:
        s.sendall(z.compress(message) + z.flush(zlib.Z_SYNC_FLUSH))
        adler = zlib.adler32(message, adler)
        s.recv(1, socket.MSG_PEEK)
    s.sendall(z.flush() + adler.to_bytes(4, 'big'))
else:
    z = zlib.compressobj()
    s.sendall(z.compress(b'plain zlib\\n') + z.flush())
s.shutdown(socket.SHUT_WR)
while s.recv(4096): pass
";

fn client_of_python(kind: &str, args: &[&str]) -> Option<Output> {
    let mut server = python(PYTHON_SERVER, &[kind])?;
    let mut address = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let output = client("compressed_client", &[&[address.trim()], args].concat(), b"x\n");
    assert!(server.wait().unwrap().success());
    Some(output)
}

#[test]
fn a_python_server_that_announces_is_understood_with_no_flag() {
    let Some(output) = client_of_python("announced", &[]) else { return };
    assert_eq!(output.stdout, b"hello world\n", "{}", output.stdout.escape_ascii());
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn an_ordinary_zlib_stream_is_delivered_untouched_and_in_plain_where_it_is_expected() {
    let Some(output) = client_of_python("ordinary", &[]) else { return };
    let mut plain = Vec::new();
    flate2::read::ZlibDecoder::new(&output.stdout[..]).read_to_end(&mut plain).expect("the stream as it was sent");
    assert_eq!(plain, b"plain zlib\n");
    let Some(output) = client_of_python("ordinary", &["--expect", "deflate"]) else { return };
    assert_eq!(output.stdout, b"plain zlib\n");
}

#[test]
fn a_client_that_expects_an_unknown_format_says_so() {
    let server = Server::on_free_port("compressed_server");
    let output = client("compressed_client", &[&server.address.to_string(), "--expect", "brotli"], b"x\n");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("brotli") && text.contains("deflate-raw"), "{text}");
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn workers_chat_passes_lines_to_all_workers_and_ends_on_sigterm() {
    let server = Server::start("workers_chat", &["127.0.0.1:0", "3"]);
    let mut peers: Vec<_> = (0..12).map(|_| BufReader::new(server.connect())).collect();
    let mut line = String::new();
    for peer in &mut peers {
        line.clear();
        peer.read_line(&mut line).unwrap();
        assert!(line.starts_with("You are on worker "), "{line}");
    }
    peers[5].get_mut().write_all(b"hello\r\n").unwrap();
    for peer in &mut peers {
        line.clear();
        peer.read_line(&mut line).unwrap();
        assert_eq!(line, "hello\r\n");
    }
    drop(peers);
    assert!(matches!(server.terminate(), None | Some(0)));
}

fn printed(name: &str) -> Vec<String> {
    let output = Command::new(example(name)).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[cfg(unix)]
#[test]
fn process_filter_passes_a_connection_through_a_program() {
    let server = Server::start("process_filter", &["127.0.0.1:0", "tr", "a-z", "A-Z"]);
    let mut stream = server.connect();
    stream.write_all(b"hello program\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "HELLO PROGRAM\n");
    // A program that exits ends the connection.
    let server = Server::start("process_filter", &["127.0.0.1:0", "head", "-n", "1"]);
    let mut stream = server.connect();
    stream.write_all(b"one\ntwo\n").unwrap();
    answer.clear();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "one\n");
}

#[cfg(unix)]
#[test]
fn the_listings_on_processes_print_what_twisteds_do() {
    let lines = printed("process");
    assert_eq!(lines.first().map(String::as_str), Some("connection_made!"));
    assert_eq!(lines.last().map(String::as_str), Some("quitting"));
    for line in ["I saw 40 lines", "in_connection_lost! stdin is closed (we did it)", "process_ended: it exited with status 0"] {
        assert_eq!(lines.iter().filter(|printed| *printed == line).count(), 1, "{line}: {lines:?}");
    }
    assert_eq!(printed("trueandfalse"), ["true exits with 0", "false exits with 1"]);
}

#[cfg(unix)]
#[test]
fn quotes_sends_what_a_program_writes_or_why_it_could_not() {
    for (program, quote) in [(&["echo", "all is well"][..], "all is well\n"), (&["no-such-program"], "No quote: cannot start")] {
        let server = Server::start("quotes", &[&["127.0.0.1:0"], program].concat());
        let mut answer = String::new();
        server.connect().read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(quote), "{answer}");
    }
}

#[test]
fn client_service_connects_again_and_ends_on_sigterm() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let child = Command::new(example("client_service")).arg(address.to_string()).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    for _ in 0..2 {
        let mut stream = listener.accept().unwrap().0;
        assert_eq!(output.next().unwrap(), format!("connected to {address}"));
        assert_eq!(read_exactly(&mut stream, 5), b"line ");
        stream.write_all(b"hello\r\n").unwrap();
        assert_eq!(output.next().unwrap(), "the server said: hello");
        drop(stream);
        let lost = output.next().unwrap();
        assert!(lost.starts_with("lost: "), "{lost}");
    }
    let _connected = listener.accept().unwrap();
    if signal(&mut child, "-TERM") {
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[cfg(unix)]
#[test]
fn procmon_logs_what_its_program_writes_and_ends_it_when_it_is_ended() {
    let mut procmon = Command::new(example("procmon"));
    let script = "echo it runs; kill -TERM $PPID; exec sleep 1000";
    let output = procmon.args(["sh", "-c", script]).env("RUST_LOG", "info").stderr(Stdio::piped()).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    assert!(log.contains("[sh] it runs") && log.contains("[sh] killed by SIGTERM"), "{log}");
}
