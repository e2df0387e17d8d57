//! How UNIX sockets end: without resets or losses, and without cutting off a peer in the middle of a write.

use std::cell::Cell;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::thread;

use super::place::Folder;
use super::support::*;
use torsade::prelude::*;

/// Runs one connection between a probe that listens and a peer on a thread, until both have ended.
fn converse<T: Send + 'static>(
    script: impl FnMut(&Event, &Transport) -> Result + 'static,
    act: impl FnOnce(UnixStream) -> T + Send + 'static,
) -> (Events, T) {
    let folder = Folder::new();
    let reactor = Reactor::new().unwrap();
    let events = Events::default();
    let mut probe = Some(Probe::new(&events, script));
    reactor.listen_unix(folder.path("s"), move |_peer: Address| probe.take()).unwrap();
    let stream = UnixStream::connect(folder.path("s")).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    let peer = Rc::new(Cell::new(Some(thread::spawn(move || act(stream)))));
    let (seen, stopper, thread) = (events.clone(), reactor.clone(), peer.clone());
    let ended = move || {
        let peer = thread.take();
        let finished = peer.as_ref().is_some_and(thread::JoinHandle::is_finished);
        thread.set(peer);
        finished && seen.lost()
    };
    once(&reactor, ended, move || stop(&stopper));
    run(&reactor);
    (events, peer.take().unwrap().join().unwrap())
}

const SIZE: usize = 1 << 20;

#[test]
fn a_peer_that_reads_after_the_end_of_the_connection_still_gets_everything() {
    let (gone, wait) = std::sync::mpsc::channel();
    let (events, (got, end)) = converse(
        move |event, transport| {
            match event {
                // As much as the system takes at once.
                Event::Made => transport.write(pattern(0, 100_000)),
                Event::Data(_) => transport.lose_connection(),
                Event::Lost(_) => gone.send(())?,
                _ => {}
            }
            Ok(())
        },
        move |mut stream| {
            stream.write_all(b"close").unwrap();
            wait.recv().unwrap();
            drain(&mut stream)
        },
    );
    assert!(events.reason().is_clean(), "{}", events.reason());
    assert_eq!((got == pattern(0, 100_000), end), (true, Ok(())));
}

#[test]
fn a_megabyte_is_sent_before_the_end() {
    let (events, (got, end)) = converse(
        |event, transport| {
            if let Event::Made = event {
                transport.write(pattern(0, SIZE));
                transport.lose_connection();
            }
            Ok(())
        },
        |mut stream| drain(&mut stream),
    );
    assert!(events.reason().is_clean(), "{}", events.reason());
    assert_eq!((got == pattern(0, SIZE), end), (true, Ok(())));
}

#[test]
fn a_peer_that_closes_with_unread_input_is_reported_as_a_loss_after_all_that_it_sent() {
    let (events, ()) = converse(
        |event, transport| {
            if let Event::Made = event {
                transport.write(b"never read");
            }
            Ok(())
        },
        |mut stream| {
            // Waits until it has arrived, and leaves it unread.
            while stream.peek_length() == 0 {
                thread::yield_now();
            }
            stream.write_all(b"last words").unwrap();
        },
    );
    assert_eq!(events.data(), b"last words");
    let Reason::ConnectionLost(error) = events.reason() else { panic!("{}", events.reason()) };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

/// How many bytes can be read.
trait PeekLength {
    fn peek_length(&self) -> usize;
}

impl PeekLength for UnixStream {
    fn peek_length(&self) -> usize {
        socket2::SockRef::from(self).peek(&mut [std::mem::MaybeUninit::uninit(); 16]).unwrap_or(0)
    }
}

#[test]
fn a_peer_that_is_writing_when_we_close_is_not_cut_off_before_it_has_read_why() {
    let (gone, wait) = std::sync::mpsc::channel();
    let (events, (written, got)) = converse(
        move |event, transport| {
            match event {
                Event::Data(_) => {
                    transport.write(b"enough");
                    transport.lose_connection();
                }
                Event::Lost(_) => gone.send(())?,
                _ => {}
            }
            Ok(())
        },
        move |mut stream| {
            stream.write_all(b"x").unwrap();
            wait.recv().unwrap();
            // The connection is lost, but its lingering socket takes what arrives.
            let written = stream.write_all(&[b'x'; 1000]);
            let mut got = [0; 6];
            stream.read_exact(&mut got).unwrap();
            (written.map_err(|error| error.kind()), got)
        },
    );
    assert!(events.reason().is_clean(), "{}", events.reason());
    assert_eq!((written, &got), (Ok(()), b"enough"));
}

#[test]
fn an_abort_drops_what_is_unsent_and_the_peer_sees_an_end() {
    let (events, (got, _end)) = converse(
        |event, transport| {
            if let Event::Made = event {
                transport.write(pattern(0, 10 * SIZE));
                transport.abort_connection();
            }
            Ok(())
        },
        |mut stream| drain(&mut stream),
    );
    assert!(matches!(events.reason(), Reason::ConnectionAborted), "{}", events.reason());
    assert!(got.len() < 10 * SIZE);
    assert!(pattern(0, SIZE).starts_with(&got[..got.len().min(SIZE)]));
}

#[test]
fn what_the_system_has_taken_counts_as_delivered() {
    let (events, _) = converse(
        |event, transport| {
            match event {
                Event::Made => transport.write(b"hello"),
                Event::Data(_) => {
                    assert_eq!((transport.delivery().acknowledged, transport.delivery().outstanding), (5, 0));
                    transport.lose_connection();
                }
                _ => {}
            }
            Ok(())
        },
        |mut stream| {
            stream.write_all(b"x").unwrap();
            drain(&mut stream)
        },
    );
    assert!(events.reason().is_clean(), "{}", events.reason());
}

#[test]
fn there_are_no_options_of_tcp() {
    let (events, ()) = converse(
        |event, transport| {
            if let Event::Made = event {
                assert_eq!(transport.set_tcp_nodelay(true).unwrap_err().kind(), ErrorKind::Unsupported);
                transport.lose_connection();
            }
            Ok(())
        },
        drop,
    );
    events.reason();
}
