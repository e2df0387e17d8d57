//! Datagrams with other programs: socat, asyncio, Twisted, and a DNS client. Skipped with a message when not installed.

use std::process::{Child, Command, Output, Stdio};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use torsade::prelude::*;
use torsade::wire::Echo;
use torsade::{ReactorHandle, SystemEvent};

use crate::probe::{Event, Events, Probe, udp};
use crate::support::{LIMIT, output_of, run, stop};

/// Runs a program against one of our servers, on the system's sockets; `None` if it is not installed.
fn against(
    listen: impl FnOnce(&Reactor) -> DatagramTransport + Send + 'static,
    program: &str,
    args: impl FnOnce(&Address) -> Vec<String>,
    input: &[u8],
) -> Option<Output> {
    let (tell, told) = mpsc::channel::<(Address, ReactorHandle)>();
    let server = thread::spawn(move || {
        let reactor = Reactor::new().unwrap();
        let (host, handle) = (listen(&reactor).host(), reactor.handle());
        reactor.add_system_event_trigger(torsade::Phase::After, SystemEvent::Startup, move || tell.send((host, handle)).unwrap());
        run(&reactor);
    });
    let (host, handle) = told.recv_timeout(LIMIT).unwrap();
    let output = output_of(Command::new(program).args(args(&host)), input).ok();
    handle.call_from_thread(stop).unwrap();
    server.join().unwrap();
    if output.is_none() {
        println!("skipped: {program} is not installed");
    }
    output
}

fn echo(reactor: &Reactor) -> DatagramTransport {
    reactor.listen_udp("127.0.0.1:0", Echo).unwrap()
}

#[test]
fn socat_gets_its_datagram_back_over_udp() {
    // It ends half a second after its input. The answer is much faster; if it is not, the test was held up, and tries again.
    for _ in 0..20 {
        let args = |host: &Address| vec!["-".to_owned(), format!("UDP:{host}")];
        let Some(output) = against(echo, "socat", args, b"hello") else { return };
        if output.stdout == b"hello" {
            return;
        }
        assert!(output.stdout.is_empty(), "{output:?}");
    }
    panic!("no answer in twenty attempts");
}

#[cfg(unix)]
#[test]
fn socat_gets_its_datagram_back_over_a_unix_socket() {
    let folder = Rc::new(crate::unix::Folder::new("peers"));
    let (server, client) = (folder.socket("server"), folder.socket("client"));
    for _ in 0..20 {
        let path = server.clone();
        let listen = move |reactor: &Reactor| reactor.listen_unix_datagram(path, Echo).unwrap();
        let (server, client) = (server.display().to_string(), client.display().to_string());
        let args = |_: &Address| vec!["-".to_owned(), format!("UNIX-SENDTO:{server},bind={client}")];
        let Some(output) = against(listen, "socat", args, b"hello") else { return };
        if output.stdout == b"hello" {
            return;
        }
        assert!(output.stdout.is_empty(), "{output:?}");
    }
    panic!("no answer in twenty attempts");
}

/// Answers every query for an IPv4 address with 192.0.2.1 (RFC 1035), and knows no more of DNS.
struct TinyDns;

impl DatagramProtocol for TinyDns {
    fn datagram_received(&mut self, transport: &DatagramTransport, query: &[u8], from: &Address) -> Result {
        const HEADER: usize = 12;
        let name = query.get(HEADER..).and_then(|rest| rest.iter().position(|byte| *byte == 0)).ok_or("no question")?;
        // The name, its terminating zero byte, type and class.
        let question = query.get(HEADER..HEADER + name + 5).ok_or("no whole question")?;
        let answer = [b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04".as_slice(), &[192, 0, 2, 1]].concat();
        let header = [&query[..2], b"\x84\x00\x00\x01\x00\x01\x00\x00\x00\x00"].concat();
        transport.write_to([&header, question, &answer].concat(), from);
        Ok(())
    }
}

#[test]
fn dig_has_a_question_answered() {
    let args = |host: &Address| {
        let port = host.port().unwrap().to_string();
        ["@127.0.0.1", "-p", &port, "+short", "+noedns", "+tries=20", "torsade.example", "A"].map(str::to_owned).to_vec()
    };
    let listen = |reactor: &Reactor| reactor.listen_udp("127.0.0.1:0", TinyDns).unwrap();
    if let Some(output) = against(listen, "dig", args, b"") {
        assert_eq!(String::from_utf8_lossy(&output.stdout), "192.0.2.1\n", "{output:?}");
    }
}

const ASYNCIO_CLIENT: &str = r#"
import asyncio, sys
class Client(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport, self.left = transport, [bytes([size % 256]) * size for size in (1, 2, 1400, 8192)]
        self.ask()
    def ask(self):
        if not self.left: return done.set_result(True)
        self.transport.sendto(self.left[0])
        self.again = asyncio.get_event_loop().call_later(5, self.ask)
    def datagram_received(self, data, address):
        if self.left and data == self.left[0]:
            self.again.cancel(); self.left.pop(0); self.ask()
async def main():
    global done
    done = asyncio.get_event_loop().create_future()
    await asyncio.get_event_loop().create_datagram_endpoint(Client, remote_addr=("127.0.0.1", int(sys.argv[1])))
    await done
    print("all answered")
asyncio.run(main())
"#;

#[test]
fn an_endpoint_of_asyncio_has_every_datagram_answered() {
    let args = |host: &Address| vec!["-c".to_owned(), ASYNCIO_CLIENT.to_owned(), host.port().unwrap().to_string()];
    if let Some(output) = against(echo, "python3", args, b"") {
        assert_eq!(String::from_utf8_lossy(&output.stdout), "all answered\n", "{output:?}");
    }
}

/// The server of Twisted's `echoserv_udp.py`, and the client of its `echoclient_udp.py`.
const TWISTED_SERVER: &str = r#"
from twisted.internet.protocol import DatagramProtocol
from twisted.internet import reactor
class EchoUDP(DatagramProtocol):
    def datagramReceived(self, datagram, address):
        self.transport.write(datagram, address)
port = reactor.listenUDP(0, EchoUDP(), "127.0.0.1")
print(port.getHost().port, flush=True)
reactor.run()
"#;
const TWISTED_CLIENT: &str = r#"
import sys
from twisted.internet.protocol import DatagramProtocol
from twisted.internet import reactor
class Client(DatagramProtocol):
    strings = [b"Hello, world!", b"What a fine day it is.", b"Bye-bye!"]
    def startProtocol(self):
        self.transport.connect("127.0.0.1", int(sys.argv[1])); self.sendDatagram()
    def sendDatagram(self):
        if self.strings: self.transport.write(self.strings.pop(0))
        else: reactor.stop()
    def datagramReceived(self, datagram, host):
        print("Datagram received:", datagram.decode()); self.sendDatagram()
reactor.listenUDP(0, Client()); reactor.run()
"#;

/// The Python that has Twisted, if there is one.
fn python_with_twisted() -> Option<std::ffi::OsString> {
    let python = std::env::var_os("TORSADE_PYTHON").unwrap_or_else(|| "python3".into());
    let found = Command::new(&python).args(["-c", "import twisted"]).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    println!("skipped: there is no Python with Twisted (TORSADE_PYTHON names one)");
    None
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn twisteds_client_is_answered_by_ours_and_ours_by_twisteds_server() {
    use std::io::{BufRead, BufReader};

    let Some(python) = python_with_twisted() else { return };
    let args = |host: &Address| vec!["-c".to_owned(), TWISTED_CLIENT.to_owned(), host.port().unwrap().to_string()];
    let output = against(echo, python.to_str().unwrap(), args, b"").unwrap();
    let expected = ["Hello, world!", "What a fine day it is.", "Bye-bye!"].map(|line| format!("Datagram received: {line}\n"));
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected.concat(), "{output:?}");

    let server = Command::new(python).args(["-c", TWISTED_SERVER]).stdout(Stdio::piped()).spawn().unwrap();
    let mut server = Server(server);
    let mut port = String::new();
    BufReader::new(server.0.stdout.as_mut().unwrap()).read_line(&mut port).unwrap();
    let reactor = Reactor::new().unwrap();
    let events = Events::default();
    let address = udp(&format!("127.0.0.1:{}", port.trim()));
    let questions = vec![b"one".to_vec(), b"two".to_vec(), vec![b'x'; 8192]];
    let client = Probe::asking(&events, address.clone(), questions.clone(), 3);
    reactor.listen_udp("127.0.0.1:0", client).unwrap();
    run(&reactor);
    assert_eq!(events.received(), questions);
    assert!(events.all().contains(&Event::Received(b"one".to_vec(), address)));
}
