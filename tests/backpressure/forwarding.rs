//! `PortForward`, relays and `FileSender`.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use crate::support::{address, connect, nobody, reset, run, stop};
use torsade::prelude::*;
use torsade::{FileSender, PortForward};

fn forward_to(reactor: &Reactor, target: SocketAddr) -> SocketAddr {
    let forward = PortForward::new(move |reactor, client| reactor.connect_tcp(target, client));
    let port = reactor.listen_tcp("127.0.0.1:0", forward).unwrap();
    address(&port)
}

/// Runs `peer` on a thread, and the reactor until the peer has finished.
fn run_with<T: Send + 'static>(reactor: &Reactor, peer: impl FnOnce() -> T + Send + 'static) -> T {
    let handle = reactor.handle();
    let thread = thread::spawn(move || {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(peer));
        handle.call_from_thread(stop).unwrap();
        result
    });
    run(reactor);
    thread.join().unwrap().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[test]
fn bytes_and_ends_of_streams_pass_in_both_directions() {
    let reactor = Reactor::new().unwrap();
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = forward_to(&reactor, target.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = target.accept().unwrap();
        let mut request = Vec::new();
        stream.read_to_end(&mut request).unwrap();
        stream.write_all(&request.to_ascii_uppercase()).unwrap();
    });
    let answer = run_with(&reactor, move || {
        let mut client = connect(address);
        client.write_all(&b"a request ".repeat(50_000)).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        answer
    });
    server.join().unwrap();
    assert!(answer == b"A REQUEST ".repeat(50_000));
}

#[test]
fn a_target_that_cannot_be_reached_resets_the_client() {
    let reactor = Reactor::new().unwrap();
    let address = forward_to(&reactor, nobody());
    let read = run_with(&reactor, move || connect(address).read(&mut [0; 1]));
    assert_eq!(read.map_err(|error| error.kind()), Err(std::io::ErrorKind::ConnectionReset));
}

#[test]
fn a_target_that_does_not_read_stops_the_client() {
    let reactor = Reactor::new().unwrap();
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = forward_to(&reactor, target.local_addr().unwrap());
    run_with(&reactor, move || {
        let mut client = connect(address);
        let (mut stream, _) = target.accept().unwrap();
        client.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut sent = 0;
        while let Ok(count) = client.write(&[b'x'; 65_536]) {
            sent += count;
            assert!(sent < 256 << 20, "the forwarder takes whatever arrives");
        }
        // Everything accepted is delivered once the target reads.
        client.shutdown(Shutdown::Write).unwrap();
        let received = std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
        assert_eq!(received, sent as u64);
    });
}

#[test]
fn a_client_that_writes_before_it_reads_is_read_whatever_the_target_sends() {
    const SIZE: usize = 16 << 20;
    let reactor = Reactor::new().unwrap();
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = forward_to(&reactor, target.local_addr().unwrap());
    let received = run_with(&reactor, move || {
        let mut client = connect(address);
        client.write_all(b"x").unwrap();
        let (mut reading, _) = target.accept().unwrap();
        let mut writing = reading.try_clone().unwrap();
        let writer = thread::spawn(move || writing.write_all(&vec![b'y'; SIZE]));
        let reader = thread::spawn(move || reading.read_exact(&mut vec![0; SIZE]));
        client.write_all(&vec![b'x'; SIZE - 1]).unwrap();
        let received = client.read_exact(&mut vec![0; SIZE]);
        reader.join().unwrap().and(writer.join().unwrap()).and(received)
    });
    received.unwrap();
}

#[test]
fn a_target_that_resets_resets_the_client() {
    let reactor = Reactor::new().unwrap();
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = forward_to(&reactor, target.local_addr().unwrap());
    let error = run_with(&reactor, move || {
        let mut client = connect(address);
        let (mut stream, _) = target.accept().unwrap();
        // A byte that comes back shows that the two sides are connected.
        stream.write_all(b"x").unwrap();
        client.read_exact(&mut [0; 1]).unwrap();
        reset(stream);
        client.read(&mut [0; 1]).map_err(|error| error.kind())
    });
    assert_eq!(error, Err(std::io::ErrorKind::ConnectionReset));
}

type Sent = Rc<RefCell<Option<Option<u8>>>>;

struct SendsFile {
    content: Vec<u8>,
    sent: Sent,
}

impl Protocol for SendsFile {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        let (content, told) = (std::mem::take(&mut self.content), self.sent.clone());
        let sender = FileSender::new(std::io::Cursor::new(content));
        sender.begin_file_transfer(transport, move |transport, sent| {
            told.replace(Some(sent?));
            transport.lose_connection();
            Ok(())
        })?;
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

#[test]
fn a_file_arrives_whole_and_its_last_byte_is_reported() {
    for size in [0, 1, 16_384, 3_000_001] {
        let content: Vec<u8> = (0..size).map(|i: u32| (i % 251) as u8).collect();
        let reactor = Reactor::new().unwrap();
        let sent = Sent::default();
        let (told, file) = (sent.clone(), content.clone());
        let port = reactor.listen_tcp("127.0.0.1:0", move |_| SendsFile { content: file.clone(), sent: told.clone() }).unwrap();
        let address = address(&port);
        let received = run_with(&reactor, move || {
            let mut received = Vec::new();
            connect(address).read_to_end(&mut received).unwrap();
            received
        });
        assert!(received == content, "{size} bytes");
        assert_eq!(sent.take(), Some(content.last().copied()));
    }
}

#[test]
fn wire_services_serve() {
    let reactor = Reactor::new().unwrap();
    let port = reactor.listen_tcp("127.0.0.1:0", |_| torsade::wire::Chargen).unwrap();
    let address = address(&port);
    let noise = run_with(&reactor, move || {
        let mut stream = connect(address);
        let mut noise = vec![0; 300_000];
        stream.read_exact(&mut noise).unwrap();
        // Ending our stream ends the noise.
        stream.shutdown(Shutdown::Write).unwrap();
        std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
        noise
    });
    let period = noise.iter().skip(1).position(|byte| *byte == b'@').unwrap() + 1;
    assert!(noise.starts_with(b"@ABC") && noise.chunks(period).all(|line| noise.starts_with(line)));
}
