//! Files: sent by the system (sendfile) or read and written, they look the same to the peer and to the protocol.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::{
    Event, Events, Peer, Probe, Wire, address, connect, converse, converse_half_closeable, drain, on_every_kind, pattern, peer,
    read_exactly, run, stop,
};
use torsade::prelude::*;
use torsade::{Delivery, FileSender, FileSenderError};

/// More than the buffers of two sockets hold.
const LARGE: usize = 24 << 20;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// As a `File`: by the system where it can.
    Direct,
    /// As a reader that is not known to be a file.
    Pieces,
}

impl Way {
    const ALL: [Self; 2] = [Self::Direct, Self::Pieces];
}

struct Unknown(File);

impl Read for Unknown {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// A file that is deleted when closed, with a handle to read it and one to write it.
fn temporary(content: &[u8]) -> (File, File) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("torsade-test-{}-{}.file", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, content).unwrap();
    let files = (File::open(&path).unwrap(), OpenOptions::new().append(true).open(&path).unwrap());
    std::fs::remove_file(&path).unwrap();
    files
}

/// The calls of `done`, as text.
#[derive(Clone, Default)]
struct Told(Rc<RefCell<Vec<String>>>);

impl Told {
    fn note(&self, sent: Result<Option<u8>, FileSenderError>) {
        self.0.borrow_mut().push(match sent {
            Ok(last) => format!("sent, the last is {last:?}"),
            Err(FileSenderError::Read(error)) if error.kind() == io::ErrorKind::UnexpectedEof => "too short".into(),
            Err(FileSenderError::Read(_)) => "not read".into(),
            Err(_) => "stopped".into(),
        });
    }

    fn all(&self) -> Vec<String> {
        self.0.borrow().clone()
    }
}

/// Sends `file` in this way; closes the connection when it is sent or cannot be.
fn send(way: Way, file: File, length: Option<u64>, transport: &Transport, told: &Told) -> Result {
    fn begin<R: Read + 'static>(sender: FileSender<R>, length: Option<u64>, transport: &Transport, told: Told) -> Result {
        let sender = if let Some(length) = length { sender.length(length) } else { sender };
        sender.begin_file_transfer(transport, move |transport, sent| {
            told.note(sent);
            transport.lose_connection();
            Ok(())
        })?;
        Ok(())
    }
    match way {
        Way::Direct => begin(FileSender::new(file), length, transport, told.clone()),
        Way::Pieces => begin(FileSender::new(Unknown(file)), length, transport, told.clone()),
    }
}

/// A script that sends a file when connected and then does something when data arrive.
fn sending(
    (way, file, length): (Way, File, Option<u64>),
    told: &Told,
    mut on_data: impl FnMut(&Transport) -> Result + 'static,
) -> impl FnMut(&Event, &Transport) -> Result + 'static {
    let (mut file, told) = (Some(file), told.clone());
    move |event, transport| match event {
        Event::Made => send(way, file.take().unwrap(), length, transport, &told),
        Event::Data(_) => on_data(transport),
        _ => Ok(()),
    }
}

/// A peer that sends a request once it has received part of the file.
fn asking_on_the_way(mut peer: Peer) -> Vec<u8> {
    let mut got = read_exactly(&mut peer, 100_000);
    peer.write_all(b"x").unwrap();
    got.extend(drain(&mut peer).0);
    got
}

#[test]
fn whatever_the_wire_a_file_arrives_after_what_was_written_before_and_its_last_byte_is_reported() {
    on_every_kind(&[], |wire| {
        for size in [0, 1, 16_384, 32_768, 32_769, 300_001] {
            let content = pattern(7, size + 3);
            for (way, known) in Way::ALL.into_iter().flat_map(|way| [(way, false), (way, true)]) {
                let (mut file, _) = temporary(&content);
                file.seek(SeekFrom::Start(3)).unwrap();
                let mut position = file.try_clone().unwrap();
                let (told, noted, mut file) = (Told::default(), Told::default(), Some(file));
                let noting = noted.clone();
                let script = move |event: &Event, transport: &Transport| {
                    if let Event::Made = event {
                        transport.write("head");
                        send(way, file.take().unwrap(), known.then_some(size as u64), transport, &noting)?;
                        transport.write("written before the loop asks for the file");
                    }
                    Ok(())
                };
                let (_, (got, end)) = wire.converse(script, |mut peer| drain(&mut peer));
                told.note(Ok(content[3..].last().copied()));
                let expected = [b"headwritten before the loop asks for the file", &content[3..]].concat();
                assert!(got == expected, "{way:?}, {known}: {} of {size} bytes", got.len());
                assert_eq!((noted.all(), end), (told.all(), Ok(())), "{way:?}, {known}, {size} bytes");
                assert_eq!(position.stream_position().unwrap(), content.len() as u64);
            }
        }
    });
}

#[test]
fn what_is_written_while_a_file_is_on_its_way_comes_between_two_of_its_bytes() {
    const NOTE: &[u8] = b"a note that is in no file";
    let content = pattern(0, LARGE);
    for way in Way::ALL {
        let told = Told::default();
        let script = sending((way, temporary(&content).0, None), &told, |transport| {
            transport.write(NOTE);
            Ok(())
        });
        let (_, got) = converse(script, asking_on_the_way);
        let place = got.windows(NOTE.len()).position(|bytes| bytes == NOTE).unwrap();
        assert!((100_000..LARGE).contains(&place), "{way:?}: at {place}");
        assert!([&got[..place], &got[place + NOTE.len()..]].concat() == content, "{way:?}");
    }
}

#[test]
fn a_peer_that_does_not_read_costs_no_turns_and_keeps_nobody_from_being_served() {
    /// Checks in a row in which nothing is sent.
    const LOOKS: u64 = 20;

    fn wait(reactor: &Reactor, file: File, since: (u64, u64, u64), then: Box<dyn FnOnce(u64)>) {
        let again = reactor.clone();
        reactor.call_later(std::time::Duration::from_millis(1), move || {
            let (position, turn) = ((&file).stream_position().unwrap(), again.turn_number());
            let (looks, from, before) = since;
            match () {
                () if position != before => wait(&again, file, (0, turn, position), then),
                () if looks == LOOKS => then(turn - from),
                () => wait(&again, file, (looks + 1, from, position), then),
            }
        });
    }

    let content = pattern(0, LARGE);
    for way in Way::ALL {
        let reactor = Reactor::new().unwrap();
        let (file, told, events) = (temporary(&content).0, Told::default(), Events::default());
        let watched = file.try_clone().unwrap();
        let mut script = Some(sending((way, file, None), &told, |_| Ok(())));
        let turns = Rc::new(RefCell::new(None));
        let port = reactor.listen_tcp("127.0.0.1:0", move |_| Probe::new(&events, script.take().unwrap())).unwrap();
        let echo = address(&reactor.listen_tcp("127.0.0.1:0", |_| torsade::wire::Echo).unwrap());
        let (stuck, told_stuck) = std::sync::mpsc::channel();
        let noted = turns.clone();
        wait(
            &reactor,
            watched,
            (0, 0, 0),
            Box::new(move |count| {
                noted.replace(Some(count));
                stuck.send(()).unwrap();
            }),
        );
        let handle = reactor.handle();
        let reader = peer(address(&port), move |mut peer| {
            told_stuck.recv().unwrap();
            let mut other = connect(echo);
            other.write_all(b"served").unwrap();
            let served = read_exactly(&mut other, 6);
            let got = drain(&mut peer).0;
            handle.call_from_thread(stop).unwrap();
            (served, got)
        });
        run(&reactor);
        let (served, got) = reader.join().unwrap();
        assert_eq!(served, b"served");
        assert!(got == content, "{way:?}");
        let turns = turns.take().unwrap();
        assert!(turns <= 3 * LOOKS, "{way:?}: {turns} turns in {LOOKS} looks");
    }
}

#[test]
fn compression_that_is_switched_on_in_the_middle_of_a_file_holds_for_the_rest_of_it() {
    const SIZE: usize = 8 << 20;
    let content = pattern(0, SIZE);
    for way in Way::ALL {
        let reactor = Reactor::new().unwrap();
        let (told, served, came) = (Told::default(), Events::default(), Events::default());
        let file =
            sending(
                (way, temporary(&content).0, Some(SIZE as u64)),
                &told,
                |transport| Ok(transport.set_compression("deflate")?),
            );
        let mut file = Some(file);
        let port = reactor.listen_tcp("127.0.0.1:0", move |_| Probe::new(&served, file.take().unwrap())).unwrap();
        let (events, stopper, mut asked) = (came.clone(), reactor.clone(), 0);
        let (stats, noted) = (Rc::new(RefCell::new(None)), told.clone());
        let kept = stats.clone();
        reactor
            .connect_tcp(address(&port), move |_| {
                let (stopper, kept) = (stopper.clone(), kept.clone());
                Probe::new(&events, move |event, transport| {
                    match event {
                        Event::Made => transport.set_detection(Detect::Anywhere),
                        Event::Data(_) if asked < 2 => {
                            asked += 1;
                            if asked == 2 {
                                transport.write("x");
                            }
                        }
                        Event::Lost(_) => {
                            kept.replace(transport.compression_stats());
                            stop(&stopper);
                        }
                        _ => {}
                    }
                    Ok(())
                })
            })
            .unwrap();
        run(&reactor);
        assert!(came.data() == content, "{way:?}: {} bytes", came.data().len());
        assert_eq!(noted.all(), [format!("sent, the last is {:?}", content.last())], "{way:?}");
        assert!(stats.take().is_some(), "{way:?}: it was not compressed");
    }
}

#[test]
fn a_file_that_is_cut_off_while_it_is_sent_ends_there_and_is_an_error_where_its_length_was_said() {
    let content = pattern(0, LARGE);
    for (way, known) in Way::ALL.into_iter().flat_map(|way| [(way, false), (way, true)]) {
        let (file, cut) = temporary(&content);
        let told = Told::default();
        let script = sending((way, file, known.then_some(LARGE as u64)), &told, move |_| Ok(cut.set_len(0)?));
        let (_, got) = converse(script, asking_on_the_way);
        assert!(got.len() < content.len() && content.starts_with(&got), "{way:?}, {known}: {} bytes", got.len());
        let expected = if known { "too short".into() } else { format!("sent, the last is {:?}", got.last()) };
        assert_eq!(told.all(), [expected], "{way:?}, {known}");
    }
}

#[test]
fn what_is_added_to_a_file_while_it_is_sent_is_sent_too_unless_its_length_was_said() {
    let content = pattern(0, LARGE);
    for (way, known) in Way::ALL.into_iter().flat_map(|way| [(way, false), (way, true)]) {
        let (file, mut more) = temporary(&content);
        let told = Told::default();
        let script = sending((way, file, known.then_some(LARGE as u64)), &told, move |_| Ok(more.write_all(b"more")?));
        let (_, got) = converse(script, asking_on_the_way);
        let expected = if known { content.clone() } else { [&content[..], b"more"].concat() };
        assert!(got == expected, "{way:?}, {known}: {} bytes", got.len());
        assert_eq!(told.all(), [format!("sent, the last is {:?}", expected.last())], "{way:?}, {known}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_reported_and_the_rest_goes_on() {
    for (way, length) in Way::ALL.into_iter().flat_map(|way| [(way, None), (way, Some(LARGE as u64))]) {
        // This handle can only write.
        let (_, unreadable) = temporary(b"contents");
        let told = Told::default();
        let mut script = sending((way, unreadable, length), &told, |_| Ok(()));
        let (events, (got, end)) = converse(
            move |event, transport| {
                if let Event::Made = event {
                    transport.write("before");
                }
                script(event, transport)
            },
            |mut peer| drain(&mut peer),
        );
        assert_eq!((got, end), (b"before".to_vec(), Ok(())));
        assert_eq!(told.all(), ["not read"], "{way:?}");
        assert!(events.reason().is_clean());
    }
}

#[test]
fn a_peer_that_resets_in_the_middle_of_a_file_stops_it_once() {
    let outcomes = Way::ALL.map(|way| {
        let told = Told::default();
        let script = sending((way, temporary(&pattern(0, LARGE)).0, Some(LARGE as u64)), &told, |_| Ok(()));
        let (events, ()) = converse(script, |mut peer| {
            read_exactly(&mut peer, 100_000);
            peer.reset();
        });
        (told.all(), events.course(), events.reason().kind())
    });
    assert_eq!(outcomes[0], outcomes[1]);
    assert_eq!(outcomes[0].0, ["stopped"]);
}

#[test]
fn an_abort_in_the_middle_of_a_file_stops_it_once() {
    for way in Way::ALL {
        let told = Told::default();
        let script = sending((way, temporary(&pattern(0, LARGE)).0, None), &told, |transport| {
            transport.abort_connection();
            Ok(())
        });
        let (events, _) = converse(script, asking_on_the_way);
        assert_eq!(told.all(), ["stopped"], "{way:?}");
        assert!(matches!(events.reason(), Reason::ConnectionAborted), "{way:?}");
    }
}

#[test]
fn a_close_from_either_side_waits_for_the_whole_file() {
    let content = pattern(0, LARGE);
    let closes: [fn(&Transport); 3] = [Transport::lose_connection, Transport::lose_write_connection, |_| {}];
    for (way, close) in Way::ALL.into_iter().flat_map(|way| closes.map(|close| (way, close))) {
        let told = Told::default();
        let mut script = sending((way, temporary(&content).0, None), &told, |_| Ok(()));
        let script = move |event: &Event, transport: &Transport| {
            script(event, transport)?;
            if let Event::Made = event {
                close(transport);
            }
            Ok(())
        };
        let (events, (got, end)) = converse_half_closeable(script, |mut peer| {
            peer.shutdown(Shutdown::Write).unwrap();
            drain(&mut peer)
        });
        assert!(got == content && end == Ok(()), "{way:?}: {} bytes, {end:?}", got.len());
        assert_eq!(told.all(), [format!("sent, the last is {:?}", content.last())]);
        assert!(events.reason().is_clean());
    }
}

#[test]
fn all_of_a_file_that_the_peer_has_counts_as_delivered() {
    let content = pattern(0, 3_000_001);
    for way in Way::ALL {
        let (told, delivery) = (Told::default(), Rc::new(RefCell::new(None)));
        let (mut file, noted, ended) = (Some(temporary(&content).0), delivery.clone(), told.clone());
        let script = move |event: &Event, transport: &Transport| {
            match event {
                Event::Made => {
                    let ended = ended.clone();
                    FileSender::new(file.take().unwrap()).begin_file_transfer(transport, move |_, sent| {
                        ended.note(sent);
                        Ok(())
                    })?;
                }
                Event::Data(_) => {
                    noted.replace(Some(transport.delivery()));
                    transport.lose_connection();
                }
                _ => {}
            }
            Ok(())
        };
        let size = content.len();
        converse(script, move |mut peer| {
            read_exactly(&mut peer, size);
            peer.write_all(b"x").unwrap();
            drain(&mut peer).1.unwrap();
        });
        assert_eq!(delivery.take(), Some(Delivery::new(size as u64, 0)), "{way:?}");
        assert_eq!(told.all().len(), 1);
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_that_was_made_a_file_is_read_and_written() {
    let content = pattern(0, 300_000);
    let (reader, mut writer) = io::pipe().unwrap();
    let (told, written) = (Told::default(), content.clone());
    let thread = std::thread::spawn(move || writer.write_all(&written));
    let file = File::from(std::os::fd::OwnedFd::from(reader));
    let (_, (got, _)) = converse(sending((Way::Direct, file, Some(300_000)), &told, |_| Ok(())), |mut peer| drain(&mut peer));
    thread.join().unwrap().unwrap();
    assert!(got == content);
    assert_eq!(told.all(), [format!("sent, the last is {:?}", content.last())]);
}

/// What a connection returns when asked to send the first ten bytes of a file by itself, after `prepare`.
#[cfg(target_os = "linux")]
fn sent_by_itself(wire: Wire, prepare: impl Fn(&Transport) + 'static) -> (Option<u64>, Vec<u8>) {
    let answer = Rc::new(RefCell::new(None));
    let noted = answer.clone();
    let script = move |event: &Event, transport: &Transport| {
        if let Event::Made = event {
            let (file, _) = temporary(b"ten bytes, and some more");
            transport.write("[");
            prepare(transport);
            noted.replace(transport.connection().send_file(&file, 10));
            transport.write("]");
            transport.lose_connection();
        }
        Ok(())
    };
    let (_, (got, _)) = wire.converse(script, |mut peer| drain(&mut peer));
    (answer.take(), got)
}

#[cfg(target_os = "linux")]
#[test]
fn only_where_nothing_has_to_see_its_bytes_does_the_system_send_a_file() {
    use crate::support::Kind;

    for kind in [Kind::Tcp, Kind::Unix, Kind::Pair] {
        let plain = Wire { kind, ..Wire::PLAIN };
        assert_eq!(sent_by_itself(plain, |_| {}), (Some(10), b"[ten bytes,]".to_vec()), "{kind:?}");
    }
    let compressed = sent_by_itself(Wire { compressed: true, ..Wire::PLAIN }, |_| {});
    assert_eq!(compressed, (None, b"[]".to_vec()));
    #[cfg(feature = "tls")]
    assert_eq!(sent_by_itself(Wire { tls: true, ..Wire::PLAIN }, |_| {}), (None, b"[]".to_vec()));
    let closing = sent_by_itself(Wire::PLAIN, Transport::abort_connection);
    assert_eq!(closing.0, None);
}
