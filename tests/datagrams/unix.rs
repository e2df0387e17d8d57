//! UNIX datagrams, on the system's sockets and on simulated ones.

use std::cell::Cell;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation};
use torsade::wire::{Discard, Echo};
use torsade::{DatagramOptions, ListenError};

use crate::probe::{Event, Events, Probe, in_both_worlds};
use crate::support::{pattern, run, stop};

/// A folder for sockets, removed when dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("torsade-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn socket(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn an_echo_answers_whoever_has_a_name() {
    let folder = Folder::new("unix-echo");
    in_both_worlds(|reactor| {
        let server = reactor.listen_unix_datagram(folder.socket("server"), Echo).unwrap();
        let questions = vec![vec![], b"hello".to_vec(), pattern(0, 8192)];
        let events = Events::default();
        let client = Probe::asking(&events, server.host(), questions.clone(), 3);
        reactor.listen_unix_datagram(folder.socket("client"), client).unwrap();
        run(reactor);
        assert_eq!(events.received(), questions);
        assert!(!folder.socket("server").exists() && !folder.socket("client").exists(), "the files go with the sockets");
    });
}

#[test]
fn one_that_has_no_name_is_heard_and_cannot_be_answered() {
    let folder = Folder::new("unix-unnamed");
    in_both_worlds(|reactor| {
        let events = Events::default();
        let server = Probe::new(&events, |event, transport| {
            match event {
                Event::Received(data, from) if data == b"first" => transport.write_to("who are you?", from),
                Event::Dropped(_) => stop(transport.reactor()),
                _ => {}
            }
            Ok(())
        });
        let server = reactor.listen_unix_datagram(folder.socket("server"), server).unwrap();
        let client = reactor.connect_unix_datagram(folder.socket("server"), Discard).unwrap();
        assert_eq!((client.host(), client.peer()), (Address::Unnamed, Some(server.host())));
        client.write("first");
        client.write("second");
        run(reactor);
        assert_eq!(events.received(), [&b"first"[..], b"second"]);
        assert!(events.all().contains(&Event::Received(b"first".to_vec(), Address::Unnamed)));
        assert_eq!(server.dropped(), 1);
    });
}

#[test]
fn a_long_one_is_cut_and_that_is_reported() {
    let folder = Folder::new("unix-long");
    in_both_worlds(|reactor| {
        let events = Events::default();
        let server = Probe::new(&events, |event, transport| {
            if let Event::Truncated(_) = event {
                stop(transport.reactor());
            }
            Ok(())
        });
        let server = reactor.listen_unix_datagram(folder.socket("server"), server).unwrap();
        reactor.connect_unix_datagram(folder.socket("server"), Discard).unwrap().write(pattern(0, 8193));
        run(reactor);
        assert_eq!((events.count(&Event::Truncated(pattern(0, 8192))), server.truncated()), (1, 1));
    });
}

#[test]
fn a_sender_that_is_too_fast_for_its_peer_is_notified_and_nothing_that_was_sent_is_lost() {
    let folder = Folder::new("unix-fast");
    let fast = |reactor: &Reactor| {
        let (events, sent) = (Events::default(), Rc::new(Cell::new(0)));
        let received = events.clone();
        let server = reactor.listen_unix_datagram(folder.socket("server"), Probe::silent(&events)).unwrap();
        let told = Events::default();
        let (count, expected) = (sent.clone(), sent.clone());
        let client = Probe::new(&told, move |event, transport| {
            if *event == Event::Started {
                for number in 0..10_000_u32 {
                    let before = transport.dropped();
                    transport.write(number.to_le_bytes());
                    count.set(count.get() + usize::from(transport.dropped() == before));
                }
            }
            let (received, expected, reactor) = (received.clone(), expected.clone(), transport.reactor().clone());
            if let Event::Dropped(_) = event {
                crate::support::once(
                    transport.reactor(),
                    move || received.received().len() == expected.get(),
                    move || stop(&reactor),
                );
            }
            Ok(())
        });
        let client = reactor.connect_unix_datagram(folder.socket("server"), client).unwrap();
        run(reactor);
        let full = Event::Dropped("the send buffer is full: send less at a time".to_owned());
        assert_eq!(told.all(), [Event::Started, full, Event::Stopped]);
        assert!(sent.get() > 0 && client.dropped() == 10_000 - sent.get() as u64);
        let expected: Vec<_> = (0..sent.get() as u32).map(|number| number.to_le_bytes().to_vec()).collect();
        assert_eq!(events.received(), expected);
        drop(server);
    };
    fast(&Reactor::new().unwrap());
    // Nothing is lost even with the worst faults: these datagrams stay in one machine's memory.
    for seed in 0..10 {
        let faults = Faults { loss: 1.0, send_buffer: 4096..=4096, ..Faults::hostile() };
        let simulation = Simulation::with_faults(seed, faults);
        fast(simulation.host("10.0.0.1").reactor());
    }
}

#[test]
fn the_name_of_a_peer_that_is_gone_is_refused() {
    let folder = Folder::new("unix-gone");
    in_both_worlds(|reactor| {
        let path = folder.socket("server");
        let missing = reactor.connect_unix_datagram(&path, Discard).unwrap_err();
        assert!(matches!(&missing, ConnectError::Io(error) if error.kind() == ErrorKind::NotFound), "{missing}");
        let server = reactor.listen_unix_datagram(&path, Discard).unwrap();
        let events = Events::default();
        let client = Probe::new(&events, move |event, transport| {
            match event {
                Event::Started => {
                    server.stop_listening();
                    let late = transport.clone();
                    transport.reactor().call_later(Duration::ZERO, move || late.write("to nobody"));
                }
                Event::Dropped(_) => stop(transport.reactor()),
                _ => {}
            }
            Ok(())
        });
        let client = reactor.connect_unix_datagram(&path, client).unwrap();
        run(reactor);
        let refused = events.all().iter().position(|event| *event == Event::Refused);
        assert_eq!((refused, client.dropped()), (Some(1), 1), "{:?}", events.all());
    });
}

#[test]
fn two_cannot_have_one_name_and_a_streams_name_is_taken_as_well() {
    let folder = Folder::new("unix-taken");
    in_both_worlds(|reactor| {
        for unlocked in [false, true] {
            let options = DatagramOptions { lock: !unlocked, ..DatagramOptions::default() };
            let path = folder.socket(if unlocked { "unlocked" } else { "locked" });
            let first = reactor.listen_unix_datagram_with(&path, options, Discard).unwrap();
            let second = reactor.listen_unix_datagram_with(&path, options, Discard).unwrap_err();
            assert!(matches!(&second, ListenError::Io { cause, .. } if cause.kind() == ErrorKind::AddrInUse), "{second}");
            assert!(reactor.listen_unix(&path, |_peer| Discard).is_err());
            first.stop_listening();
        }
        let path = folder.socket("stream");
        let stream = reactor.listen_unix(&path, |_peer| Discard).unwrap();
        assert!(reactor.listen_unix_datagram(&path, Discard).is_err());
        stream.stop_listening();
        let stopper = reactor.clone();
        reactor.call_later(Duration::ZERO, move || stop(&stopper));
        run(reactor);
    });
}

#[test]
fn the_file_has_its_mode() {
    use std::os::unix::fs::PermissionsExt;

    let folder = Folder::new("unix-mode");
    let reactor = Reactor::new().unwrap();
    let path = folder.socket("server");
    let options = DatagramOptions { mode: 0o600, ..DatagramOptions::default() };
    reactor.listen_unix_datagram_with(&path, options, Discard).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    reactor.disconnect_all().unwrap();
    assert!(!path.exists());
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_is_not_a_file() {
    in_both_worlds(|reactor| {
        let name = |end: &str| torsade::UnixName::Abstract(format!("torsade-{end}-{}", std::process::id()).into_bytes());
        assert!(matches!(reactor.connect_unix_datagram(name("server"), Discard), Err(ConnectError::Refused)));
        let server = reactor.listen_unix_datagram(name("server"), Echo).unwrap();
        assert_eq!(server.host(), name("server").into());
        let events = Events::default();
        let client = Probe::asking(&events, server.host(), vec![b"hello".to_vec()], 1);
        reactor.listen_unix_datagram(name("client"), client).unwrap();
        run(reactor);
        assert!(events.all().contains(&Event::Received(b"hello".to_vec(), server.host())));
    });
}

#[test]
fn what_only_udp_has_is_refused() {
    let folder = Folder::new("unix-options");
    in_both_worlds(|reactor| {
        let transport = reactor.listen_unix_datagram(folder.socket("server"), Discard).unwrap();
        assert_eq!(transport.ttl().unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(transport.set_broadcast_allowed(true).unwrap_err().kind(), ErrorKind::Unsupported);
    });
}
