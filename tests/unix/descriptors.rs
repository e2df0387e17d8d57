//! Passing descriptors, and the peer's credentials: in both worlds, and through layers and wrappers.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use super::place::Folder;
use super::support::*;
use torsade::policies::TimeoutFactory;
use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation};

/// What was received, in order: a descriptor as the content of its file.
type Log = Rc<RefCell<Vec<String>>>;

/// Takes descriptors, at most `limit` at once.
struct Taker {
    limit: usize,
    log: Log,
}

impl Taker {
    fn note(&self, what: String) {
        self.log.borrow_mut().push(what);
    }
}

impl Protocol for Taker {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        Ok(transport.set_descriptor_limit(self.limit)?)
    }

    fn descriptor_received(&mut self, _transport: &Transport, descriptor: OwnedFd) -> Result {
        let mut text = String::new();
        File::from(descriptor).read_to_string(&mut text)?;
        self.note(format!("descriptor {text}"));
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        self.note(format!("data {}", String::from_utf8_lossy(data)));
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &Transport, reason: &Reason) -> Result {
        self.note(format!("lost: {reason}"));
        Ok(())
    }
}

/// The reading end of a pipe that holds `text`.
fn holding(text: &str) -> OwnedFd {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    reader.into()
}

/// A world: a reactor and a name on it, and what must be kept alive.
struct Place {
    reactor: Reactor,
    name: UnixName,
    _folder: Folder,
    _simulation: Simulation,
}

/// The real world, and a simulated one with two kinds of sockets.
fn worlds() -> Vec<Place> {
    let simulated = [Faults::calm(), Faults { without_edges: 1.0, ..Faults::calm() }].map(|faults| {
        let simulation = Simulation::with_faults(1, faults);
        let reactor = simulation.host("10.0.0.1").reactor().clone();
        Place { reactor, name: "/run/s".into(), _folder: Folder::new(), _simulation: simulation }
    });
    let folder = Folder::new();
    let (reactor, name) = (Reactor::new().unwrap(), folder.path("s").into());
    let real = Place { reactor, name, _folder: folder, _simulation: Simulation::new(1) };
    simulated.into_iter().chain([real]).collect()
}

/// Has a client call `send` when connected, in both worlds; returns what the server's protocol received.
fn received(limit: usize, send: fn(&Transport) -> Result) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for place in worlds() {
        let (reactor, name) = (place.reactor.clone(), place.name.clone());
        let log = Log::default();
        let seen = log.clone();
        reactor.listen_unix(name.clone(), move |_peer| Taker { limit, log: seen.clone() }).unwrap();
        let client = move |_peer| {
            Probe::new(&Events::default(), move |event, transport| {
                if let Event::Made = event {
                    send(transport)?;
                }
                Ok(())
            })
        };
        reactor.connect_unix(name, client).unwrap();
        let (ended, stopper) = (log.clone(), reactor.clone());
        once(&reactor, move || ended.borrow().iter().any(|line| line.starts_with("lost")), move || stop(&stopper));
        run(&reactor);
        all.push(log.take());
    }
    all
}

#[test]
fn a_descriptor_comes_before_the_bytes_that_it_was_sent_with() {
    let all = received(10, |transport| {
        transport.send_descriptor(holding("one"))?;
        transport.send_descriptor(holding("two"))?;
        transport.write(b"hello");
        transport.lose_connection();
        Ok(())
    });
    for log in all {
        assert_eq!(log, ["descriptor one", "descriptor two", "data hello", "lost: connection was closed cleanly"]);
    }
}

#[test]
fn each_message_with_descriptors_is_read_by_itself_and_none_waits_for_the_next() {
    let all = received(10, |transport| {
        transport.send_descriptor(holding("one"))?;
        transport.write(b"first");
        let transport = transport.clone();
        transport.reactor().clone().call_later(Duration::ZERO, move || {
            transport.send_descriptor(holding("two")).unwrap();
            transport.write(b"second");
            transport.lose_connection();
        });
        Ok(())
    });
    for log in all {
        let expected = ["descriptor one", "data first", "descriptor two", "data second", "lost: connection was closed cleanly"];
        assert_eq!(log, expected);
    }
}

#[test]
fn a_message_with_descriptors_that_nobody_takes_does_not_hold_up_what_follows_it() {
    // Both writes are in the socket before it is read: the second causes no edge of its own.
    let (theirs, ours) = std::os::unix::net::UnixStream::pair().unwrap();
    send_raw(&theirs, &[&theirs], b"first");
    (&theirs).write_all(b"second").unwrap();
    let (reactor, log) = (Reactor::new().unwrap(), Log::default());
    let (seen, stopper) = (log.clone(), reactor.clone());
    reactor.adopt_stream_connection(ours, Taker { limit: 0, log: log.clone() }).unwrap();
    once(&reactor, move || seen.borrow().concat().contains("second"), move || stop(&stopper));
    run(&reactor);
    assert_eq!(log.borrow()[..2], ["data first", "data second"]);
}

/// Sends descriptors and bytes as one message, with a system call.
fn send_raw(socket: &std::os::unix::net::UnixStream, passed: &[&std::os::unix::net::UnixStream], data: &[u8]) {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::os::fd::AsFd;

    let descriptors: Vec<_> = passed.iter().map(|descriptor| descriptor.as_fd()).collect();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(10))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let sent = sendmsg(socket, &[std::io::IoSlice::new(data)], &mut control, SendFlags::empty()).unwrap();
    assert_eq!(sent, data.len());
}

/// How many descriptors this process has open (Linux).
#[cfg(target_os = "linux")]
fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
#[cfg(target_os = "linux")]
fn nothing_leaks_when_nobody_takes_a_descriptor() {
    let name = "descriptors::nothing_leaks_when_nobody_takes_a_descriptor";
    // In its own process, since other tests open files.
    if !is_child(name) {
        let status = child(name).status().unwrap();
        assert!(status.success());
        return;
    }
    let (reactor, folder) = (Reactor::new().unwrap(), Folder::new());
    let log = Log::default();
    let seen = log.clone();
    // One that takes none, and one that takes them and drops them.
    reactor.listen_unix(folder.path("none"), move |_peer| Taker { limit: 0, log: seen.clone() }).unwrap();
    let dropping = |_peer| {
        Probe::new(&Events::default(), |event, transport| {
            if let Event::Made = event {
                transport.set_descriptor_limit(10)?;
            }
            Ok(())
        })
    };
    reactor.listen_unix(folder.path("dropped"), dropping).unwrap();
    let lost = Rc::new(std::cell::Cell::new(0));
    // What the reactor itself needs, running and with its two ports.
    let before = Rc::new(std::cell::Cell::new(0));
    let count = before.clone();
    reactor.call_when_running(move || count.set(open_descriptors()));
    for path in ["none", "dropped", "none", "dropped"] {
        let lost = lost.clone();
        let client = move |_peer| {
            let lost = lost.clone();
            Probe::new(&Events::default(), move |event, transport| {
                match event {
                    Event::Made => {
                        for _ in 0..5 {
                            transport.send_descriptor(holding("x"))?;
                        }
                        transport.write(b"x");
                        // A descriptor that no bytes follow.
                        let late = transport.clone();
                        transport.reactor().call_later(Duration::from_millis(1), move || {
                            late.send_descriptor(holding("late")).unwrap();
                            late.lose_connection();
                        });
                    }
                    Event::Lost(_) => lost.set(lost.get() + 1),
                    _ => {}
                }
                Ok(())
            })
        };
        reactor.connect_unix(folder.path(path), client).unwrap();
    }
    let (ports, stopper, after) = (reactor.clone(), reactor.clone(), Rc::new(std::cell::Cell::new(0)));
    let count = after.clone();
    let over = move || lost.get() == 4 && ports.source_count() == 2;
    once(&reactor, over, move || {
        count.set(open_descriptors());
        stop(&stopper);
    });
    run(&reactor);
    assert!(log.borrow().iter().all(|line| !line.starts_with("descriptor")), "{log:?}");
    assert_eq!(after.get(), before.get());
}

#[test]
fn more_descriptors_at_once_than_are_taken_end_the_connection() {
    let all = received(2, |transport| {
        for _ in 0..5 {
            transport.send_descriptor(holding("x"))?;
        }
        transport.write(b"x");
        Ok(())
    });
    for log in all {
        assert!(log.len() == 1 && log[0].contains("more descriptors at once than 2"), "{log:?}");
    }
}

#[test]
fn descriptors_wait_for_bytes_up_to_a_limit() {
    let (reactor, folder) = (Reactor::new().unwrap(), Folder::new());
    let log = Log::default();
    let seen = log.clone();
    reactor.listen_unix(folder.path("s"), move |_peer| Taker { limit: 253, log: seen.clone() }).unwrap();
    let client = |_peer| {
        Probe::new(&Events::default(), |event, transport| {
            if let Event::Made = event {
                let null = File::open("/dev/null")?;
                for _ in 0..253 {
                    transport.send_descriptor(null.try_clone()?)?;
                }
                let error = transport.send_descriptor(null).unwrap_err();
                assert!(error.to_string().contains("write something"), "{error}");
                transport.write(b"all");
                transport.lose_connection();
            }
            Ok(())
        })
    };
    reactor.connect_unix(folder.path("s"), client).unwrap();
    let (ended, stopper) = (log.clone(), reactor.clone());
    once(&reactor, move || ended.borrow().len() == 255, move || stop(&stopper));
    run(&reactor);
    assert_eq!(log.borrow().iter().filter(|line| *line == "descriptor ").count(), 253);
}

#[test]
fn a_connection_that_is_not_a_unix_socket_passes_none() {
    let (events, ()) = converse(
        |event, transport| {
            if let Event::Made = event {
                for error in [
                    transport.send_descriptor(holding("x")).unwrap_err(),
                    transport.set_descriptor_limit(1).unwrap_err(),
                    transport.peer_credentials().unwrap_err(),
                ] {
                    assert_eq!(error.to_string(), "this is not a UNIX socket connection");
                }
                transport.lose_connection();
            }
            Ok(())
        },
        drop,
    );
    events.reason();
}

#[test]
#[cfg(target_os = "linux")]
fn the_kernel_says_who_the_peer_is() {
    let folder = Folder::new();
    let own = std::fs::metadata("/proc/self").map(|own| std::os::unix::fs::MetadataExt::uid(&own)).unwrap();
    let reactor = Reactor::new().unwrap();
    let stopper = reactor.clone();
    let ask = move |_peer| {
        let stopper = stopper.clone();
        Probe::new(&Events::default(), move |event, transport| {
            if let Event::Made = event {
                let peer = transport.peer_credentials()?;
                assert_eq!((peer.pid, peer.uid), (std::process::id(), own));
                stop(&stopper);
            }
            Ok(())
        })
    };
    reactor.listen_unix(folder.path("s"), ask).unwrap();
    let _peer = std::os::unix::net::UnixStream::connect(folder.path("s")).unwrap();
    run(&reactor);
}

#[test]
fn wrappers_pass_descriptors_on() {
    let (reactor, folder) = (Reactor::new().unwrap(), Folder::new());
    let log = Log::default();
    let seen = log.clone();
    let factory = move |_peer| Taker { limit: 1, log: seen.clone() };
    reactor.listen_unix(folder.path("s"), TimeoutFactory::new(factory)).unwrap();
    let client = |_peer| {
        Probe::new(&Events::default(), |event, transport| {
            if let Event::Made = event {
                transport.send_descriptor(holding("one"))?;
                transport.write(b"x");
            }
            Ok(())
        })
    };
    reactor.connect_unix(folder.path("s"), TimeoutFactory::new(client)).unwrap();
    let (ended, stopper) = (log.clone(), reactor.clone());
    once(&reactor, move || ended.borrow().len() == 2, move || stop(&stopper));
    run(&reactor);
    assert_eq!(log.borrow()[..2], ["descriptor one", "data x"]);
}

/// Starts TLS, unless it is below.
#[cfg(feature = "tls")]
struct Starting {
    taker: Taker,
    tls: bool,
}

#[cfg(feature = "tls")]
impl Protocol for Starting {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        if self.tls {
            transport.start_tls(keys::server())?;
        }
        self.taker.connection_made(transport)
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.taker.data_received(transport, data)
    }

    fn fallback(&mut self, transport: &Transport, callback: torsade::Callback<'_>) -> Result {
        callback.dispatch(&mut self.taker, transport)
    }
}

/// Both ends over TLS, as a layer or over the transport.
#[test]
#[cfg(feature = "tls")]
fn descriptors_pass_beside_tls() {
    use torsade::tls_wrapping_factory;

    for stacked in [false, true] {
        let (reactor, folder) = (Reactor::new().unwrap(), Folder::new());
        let log = Log::default();
        let seen = log.clone();
        let config = keys::client_builder().server_name("server.test").build().unwrap();
        let server = move |_peer| Starting { taker: Taker { limit: 1, log: seen.clone() }, tls: !stacked };
        let tls = config.clone();
        let client = move |_peer| {
            let tls = tls.clone();
            Probe::new(&Events::default(), move |event, transport| {
                if let Event::Made = event {
                    if !stacked {
                        transport.start_tls(&tls)?;
                    }
                    transport.send_descriptor(holding("one"))?;
                    transport.write(b"secret");
                }
                Ok(())
            })
        };
        if stacked {
            reactor.listen_unix(folder.path("s"), tls_wrapping_factory(keys::server(), server)).unwrap();
            reactor.connect_unix(folder.path("s"), tls_wrapping_factory(config, client)).unwrap();
        } else {
            reactor.listen_unix(folder.path("s"), server).unwrap();
            reactor.connect_unix(folder.path("s"), client).unwrap();
        }
        let (ended, stopper) = (log.clone(), reactor.clone());
        once(&reactor, move || ended.borrow().len() == 2, move || stop(&stopper));
        run(&reactor);
        assert_eq!(log.borrow()[..2], ["descriptor one", "data secret"]);
    }
}
