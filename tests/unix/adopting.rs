//! Sockets opened by other code: connected ones, and listening ones.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::thread;

use super::place::Folder;
use super::support::*;
use torsade::prelude::*;
use torsade::simulated::Simulation;

/// Has an echo use `ours`; returns what comes back at `theirs`, and the echo's peer address.
fn echo_over(ours: impl Into<OwnedFd>, mut theirs: impl Read + Write + Send + 'static) -> (Vec<u8>, Address) {
    let (reactor, events) = (Reactor::new().unwrap(), Events::default());
    let (stopper, peer) = (reactor.clone(), std::rc::Rc::new(std::cell::RefCell::new(Address::Unnamed)));
    let seen = peer.clone();
    let probe = Probe::new(&events, move |event, transport| {
        match event {
            Event::Made => drop(seen.replace(transport.peer())),
            Event::Data(data) => {
                transport.write(data);
                transport.lose_connection();
            }
            Event::Lost(_) => stop(&stopper),
            _ => {}
        }
        Ok(())
    });
    reactor.adopt_stream_connection(ours, probe).unwrap();
    assert!(events.names().is_empty(), "callbacks come from the loop");
    let talk = thread::spawn(move || {
        theirs.write_all(b"hello").unwrap();
        drain(&mut theirs).0
    });
    run(&reactor);
    assert!(events.reason().is_clean(), "{}", events.reason());
    let peer = peer.take_address();
    (talk.join().unwrap(), peer)
}

/// Takes the recorded address.
trait TakeAddress {
    fn take_address(&self) -> Address;
}

impl TakeAddress for std::cell::RefCell<Address> {
    fn take_address(&self) -> Address {
        self.borrow().clone()
    }
}

#[test]
fn a_socket_is_used_by_what_it_is() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    assert_eq!(echo_over(ours, theirs), (b"hello".to_vec(), Address::Unnamed));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, peer) = listener.accept().unwrap();
    assert_eq!(echo_over(ours, theirs), (b"hello".to_vec(), peer.into()));
}

#[test]
fn nothing_is_adopted_once_the_reactor_stops_and_the_peer_sees_the_end() {
    let reactor = Reactor::new().unwrap();
    let stopper = reactor.clone();
    reactor.call_when_running(move || stop(&stopper));
    run(&reactor);
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let error = reactor.adopt_stream_connection(ours, Probe::new(&Events::default(), |_, _| Ok(()))).unwrap_err();
    assert!(error.to_string().contains("the reactor is stopping"), "{error}");
    assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
    assert_eq!(reactor.source_count(), 0);
}

#[test]
fn what_is_not_a_connected_stream_socket_is_refused() {
    let reactor = Reactor::new().unwrap();
    let (datagrams, _peer) = UnixDatagram::pair().unwrap();
    let (pipe, _writer) = std::io::pipe().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for descriptor in [OwnedFd::from(datagrams), pipe.into(), listener.into()] {
        let error = reactor.adopt_stream_connection(descriptor, Echo).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().starts_with("not a connected stream socket"), "{error}");
    }
}

#[test]
fn a_listening_unix_socket_is_adopted_and_its_file_left_alone() {
    let folder = Folder::new();
    let listener = UnixListener::bind(folder.path("s")).unwrap();
    let reactor = Reactor::new().unwrap();
    let port = reactor.adopt_stream_port(listener, |_peer| Echo).unwrap();
    assert_eq!(port.address(), Address::Unix(folder.path("s").into()));
    let mut stream = UnixStream::connect(folder.path("s")).unwrap();
    let talk = thread::spawn(move || {
        stream.write_all(b"hello").unwrap();
        read_exactly(&mut stream, 5)
    });
    let talk = std::rc::Rc::new(std::cell::Cell::new(Some(talk)));
    let (thread, stopper) = (talk.clone(), reactor.clone());
    let done = move || {
        let talk = thread.take();
        let finished = talk.as_ref().is_some_and(thread::JoinHandle::is_finished);
        thread.set(talk);
        finished
    };
    once(&reactor, done, move || stop(&stopper));
    run(&reactor);
    assert_eq!(talk.take().unwrap().join().unwrap(), b"hello");
    assert_eq!(folder.files(), ["s"]);
}

#[test]
fn a_simulated_world_takes_no_sockets_of_the_system() {
    let simulation = Simulation::new(1);
    let host = simulation.host("10.0.0.1");
    let (ours, _theirs) = UnixStream::pair().unwrap();
    assert_eq!(host.adopt_stream_connection(ours, Echo).unwrap_err().kind(), std::io::ErrorKind::Unsupported);
    let folder = Folder::new();
    let listener = UnixListener::bind(folder.path("s")).unwrap();
    assert!(host.adopt_stream_port(listener, |_peer| Echo).is_err());
}
