//! How errors that the program does not handle are reported: level and wording.

use std::cell::RefCell;
use std::error::Error;
use std::io;
use std::process::{Command, Output, Stdio};
use std::rc::Rc;
use std::time::Duration;

use crate::support::logged::logged;
use crate::support::{self, child, is_child};
use log::Level;
use torsade::prelude::*;
use torsade::simulated::{Host, Simulation};
use torsade::{
    BlockingCallError, CertificateProblem, Deadline, DecompressError, DecompressErrorKind, DeferredError, Escaped, Failure,
    FrameError, Panic, Phase, ProducerError, QueueError, ReactorError, ReactorGone, StartTlsError, StatefulError, SystemEvent,
    TaskError, TimerError, TlsError, WorkerError, react,
};

/// A protocol of lines that are numbers.
struct Doubles;

impl LineProtocol for Doubles {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        let text = std::str::from_utf8(line)?;
        assert!(text != "7", "seven\x1b[2J");
        let number: i64 = text.parse().map_err(|_| format!("no number: {text}"))?;
        transport.send_line((number * 2).to_string());
        Ok(())
    }
}

/// Sends a line when connected; stops the reactor when the last of the clients is lost.
struct Says(&'static str, Rc<RefCell<usize>>);

impl Protocol for Says {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.write(self.0);
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn connection_lost(&mut self, transport: &Transport, _: &Reason) -> Result {
        *self.1.borrow_mut() -= 1;
        if *self.1.borrow() == 0 {
            transport.reactor().stop()?;
        }
        Ok(())
    }
}

/// Runs a server of doubles, to which each of several clients in turn sends `line`.
fn serve_doubles(clients: usize, line: &'static str) -> Result {
    let reactor = Reactor::new()?;
    let port = reactor.listen_tcp("127.0.0.1:0", |_peer| LineReceiver::new(Doubles))?;
    let left = Rc::new(RefCell::new(clients));
    for _ in 0..clients {
        let left = Rc::clone(&left);
        reactor.connect_tcp(port.address(), move |_peer| Says(line, Rc::clone(&left)))?;
    }
    reactor.run()
}

/// What a child that runs the test `name` prints on standard error.
fn told_by(mut child: Command) -> String {
    let Output { status, stderr, .. } =
        child.env_remove("RUST_LOG").stderr(Stdio::piped()).output().expect("the child can be run");
    let told = String::from_utf8(stderr).expect("it is text");
    assert!(status.success(), "{status}: {told}");
    told
}

/// Our own lines on standard error, without their prefix.
fn ours(told: &str) -> Vec<&str> {
    told.lines().filter_map(|line| line.strip_prefix("torsade: error: ")).collect()
}

#[test]
fn without_a_logger_the_error_of_a_callback_is_on_standard_error() {
    let name = "errors::without_a_logger_the_error_of_a_callback_is_on_standard_error";
    if is_child(name) {
        serve_doubles(1, "\x1b[31mx\r\n").expect("it stops");
        return;
    }
    let told = told_by(child(name));
    let lines = ours(&told);
    assert_eq!(lines.len(), 1, "{told}");
    assert!(lines[0].starts_with("connection ") && lines[0].contains(" with 127.0.0.1:"), "{told}");
    assert!(lines[0].ends_with(r"data_received failed: no number: \u{1b}[31mx"), "{told}");
}

#[test]
fn without_a_logger_a_panic_is_reported_with_its_connection() {
    let name = "errors::without_a_logger_a_panic_is_reported_with_its_connection";
    if is_child(name) {
        serve_doubles(1, "7\r\n").expect("it stops");
        return;
    }
    let told = told_by(child(name));
    let lines = ours(&told);
    assert_eq!(lines.len(), 1, "{told}");
    assert!(lines[0].ends_with(r"data_received panicked: seven\u{1b}[2J"), "{told}");
}

#[test]
fn without_a_logger_an_attempt_to_connect_that_fails_is_on_standard_error() {
    let name = "errors::without_a_logger_an_attempt_to_connect_that_fails_is_on_standard_error";
    if is_child(name) {
        let reactor = Reactor::new().expect("descriptors");
        // Bound, then closed again: nothing listens there.
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
        reactor.connect_tcp(nobody, |_peer| Says("", Rc::default())).expect("an address");
        let stopper = reactor.clone();
        reactor.call_later(Duration::ZERO, move || stop_when_idle(stopper));
        reactor.run().expect("it stops");
        return;
    }
    let told = told_by(child(name));
    let lines = ours(&told);
    assert_eq!(lines.len(), 1, "{told}");
    assert!(lines[0].starts_with("cannot connect to 127.0.0.1:"), "{told}");
    assert!(lines[0].ends_with("connection refused: nothing listens there"), "{told}");
}

/// Stops the reactor once it has no connection, attempt or port left.
fn stop_when_idle(reactor: Reactor) {
    if reactor.source_count() == 0 {
        reactor.stop().expect("it runs");
    } else {
        let again = reactor.clone();
        reactor.call_later(Duration::from_millis(1), move || stop_when_idle(again));
    }
}

#[test]
fn without_a_logger_what_is_left_out_is_counted() {
    let name = "errors::without_a_logger_what_is_left_out_is_counted";
    if is_child(name) {
        serve_doubles(20, "x\r\n").expect("it stops");
        return;
    }
    let told = told_by(child(name));
    // How many are printed depends on timing; together they are 20.
    let mut count = 0;
    for line in ours(&told) {
        if let Some(left_out) = line.strip_prefix("left out: ") {
            count += left_out.strip_suffix(" more of kind data_received").expect(line).parse::<usize>().expect("a number");
        } else {
            let left_out = line.split_once("(and ").and_then(|(_, rest)| rest.split_once(" more"));
            count += 1 + left_out.map_or(0, |(number, _)| number.parse::<usize>().expect("a number"));
        }
    }
    assert_eq!(count, 20, "{told}");
}

#[test]
fn a_logger_at_its_default_level_gets_the_errors_and_standard_error_does_not() {
    let name = "errors::a_logger_at_its_default_level_gets_the_errors_and_standard_error_does_not";
    if is_child(name) {
        env_logger::init();
        serve_doubles(1, "\x1b[31mx\r\n").expect("it stops");
        return;
    }
    let told = told_by(child(name));
    assert_eq!(ours(&told), [""; 0], "{told}");
    let lines: Vec<_> = told.lines().filter(|line| line.contains("ERROR torsade")).collect();
    assert_eq!(lines.len(), 1, "{told}");
    assert!(lines[0].ends_with(r"data_received failed: no number: \u{1b}[31mx"), "{told}");
}

#[test]
fn a_logger_that_is_silent_on_purpose_is_left_alone() {
    let name = "errors::a_logger_that_is_silent_on_purpose_is_left_alone";
    if is_child(name) {
        env_logger::builder().filter_level(log::LevelFilter::Off).init();
        serve_doubles(1, "x\r\n").expect("it stops");
        return;
    }
    assert_eq!(ours(&told_by(child(name))), [""; 0]);
}

#[test]
fn where_standard_error_is_closed_a_failing_callback_ends_its_own_connection_only() {
    let name = "errors::where_standard_error_is_closed_a_failing_callback_ends_its_own_connection_only";
    if is_child(name) {
        // Waits until standard error is closed.
        io::stdin().read_line(&mut String::new()).expect("a line");
        serve_doubles(3, "x\r\n").expect("it stops");
        return;
    }
    let mut process = child(name).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the child can be run");
    drop(process.stderr.take());
    drop(process.stdin.take());
    assert!(process.wait().expect("it ends").success());
}

/// Writes these bytes, then calls the function.
struct Peer(&'static [u8], fn(&Transport));

impl Protocol for Peer {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.write(self.0);
        let (transport, then) = (transport.clone(), self.1);
        transport.reactor().clone().call_later(Duration::from_secs(1), move || then(&transport));
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

/// Runs a server in a simulated network and one peer, until long after the end. Returns what was logged.
fn logged_with<P: Protocol + 'static>(server: fn() -> P, bytes: &'static [u8], then: fn(&Transport)) -> Vec<(Level, String)> {
    logged(Level::Info, || {
        let simulation = Simulation::new(1);
        simulation.host("10.0.0.1").listen_tcp("0.0.0.0:7", move |_peer| server()).expect("a free port");
        simulation.host("10.0.0.2").connect_tcp("10.0.0.1:7", move |_peer| Peer(bytes, then)).expect("an address");
        simulation.run_for(Duration::from_secs(120)).expect("it ends");
    })
}

#[test]
fn a_callback_that_fails_is_an_error_and_what_a_peer_breaks_is_not() {
    let failing = logged_with(|| LineReceiver::new(Doubles), b"x\r\n", |_| {});
    assert_eq!(failing.len(), 1, "{failing:?}");
    assert!(failing[0].0 == Level::Error && failing[0].1.ends_with("data_received failed: no number: x"), "{failing:?}");

    let reset = logged_with(|| LineReceiver::new(Doubles), b"1", Transport::abort_connection);
    assert_eq!(reset, [], "a reset is routine");

    struct Expects;
    impl Protocol for Expects {
        fn connection_made(&mut self, transport: &Transport) -> Result {
            Ok(transport.expect_compression("gzip", b"")?)
        }
        fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
            Ok(())
        }
    }
    let damaged = logged_with(|| Expects, b"no gzip", |_| {});
    assert_eq!(damaged.len(), 1, "{damaged:?}");
    assert!(damaged[0].0 == Level::Warn && damaged[0].1.contains("gzip stream"), "{damaged:?}");
}

#[test]
fn an_attempt_to_connect_is_an_error_where_no_hook_takes_it_and_the_program_did_not_end_it() {
    let refused = logged(Level::Info, || {
        let simulation = Simulation::new(1);
        simulation.host("10.0.0.1");
        simulation.host("10.0.0.2").connect_tcp("10.0.0.1:7", |_peer| Peer(b"", |_| {})).expect("an address");
        simulation.run_for(Duration::from_secs(120)).expect("it ends");
    });
    assert_eq!(refused, [(Level::Error, "cannot connect to 10.0.0.1:7: connection refused: nothing listens there".into())]);

    let ended = logged(Level::Info, || {
        let simulation = Simulation::new(1);
        simulation.host("10.0.0.1");
        let connector = simulation.host("10.0.0.2").connect_tcp("10.0.0.1:7", |_peer| Peer(b"", |_| {}));
        connector.and_then(|connector| connector.stop_connecting()).expect("it is connecting");
        simulation.run_for(Duration::from_secs(120)).expect("it ends");
    });
    assert_eq!(ended, []);
}

#[cfg(feature = "tls")]
#[test]
fn a_server_that_speaks_no_tls_is_logged_as_an_error_like_a_failed_attempt_and_such_a_client_is_not() {
    use torsade::ReactorTls;
    let to_plain = logged(Level::Info, || {
        let simulation = Simulation::new(1);
        let greets = |_peer| Peer(b"220 welcome to a server in plaintext\r\n", |_| {});
        simulation.host("10.0.0.1").listen_tcp("0.0.0.0:7", greets).expect("a free port");
        let client = simulation.host("10.0.0.2");
        client.connect_tls("10.0.0.1:7", &support::keys::client(), |_peer| Peer(b"", |_| {})).expect("an address");
        simulation.run_for(Duration::from_secs(120)).expect("it ends");
    });
    let errors: Vec<_> = to_plain.iter().filter(|(level, _)| *level == Level::Error).map(|(_, text)| text).collect();
    assert_eq!(errors.len(), 1, "{to_plain:?}");
    assert!(errors[0].starts_with("lost the connection to 10.0.0.1:7: the peer does not speak TLS"), "{to_plain:?}");

    let from_plain = logged(Level::Info, || {
        let simulation = Simulation::new(1);
        let server = simulation.host("10.0.0.1");
        server.listen_tls("0.0.0.0:7", &support::keys::server(), |_peer| Peer(b"", |_| {})).expect("a free port");
        let client = simulation.host("10.0.0.2");
        client.connect_tcp("10.0.0.1:7", |_peer| Peer(b"GET / HTTP/1.0\r\n\r\n", |_| {})).expect("an address");
        simulation.run_for(Duration::from_secs(120)).expect("it ends");
    });
    assert_eq!(from_plain.len(), 1, "{from_plain:?}");
    assert!(from_plain[0].0 == Level::Warn && from_plain[0].1.contains("does not speak TLS"), "{from_plain:?}");
}

#[test]
fn whatever_fails_without_a_connection_is_an_error_too() {
    let lines = logged(Level::Info, || {
        let clock = torsade::Clock::new();
        let reactor = clock.reactor();
        reactor.call_later(Duration::ZERO, || panic!("late\x07"));
        reactor.add_system_event_trigger(Phase::After, SystemEvent::Shutdown, || panic!("last"));
        drop(reactor.spawn(async { Err::<(), _>("a task\nfailed".into()) }));
        reactor.before_shutdown(|| Err::<(), _>("not now".into()));
        clock.advance(Duration::ZERO);
        reactor.stop().expect("it runs");
        clock.advance(Duration::ZERO);
    });
    assert!(lines.iter().all(|(level, _)| *level == Level::Error), "{lines:?}");
    let texts: Vec<_> = lines.into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts.len(), 4, "{texts:?}");
    let late = |text: &String| {
        text.starts_with("a delayed call made at tests/telling/errors.rs:") && text.ends_with(r"panicked: late\u{7}")
    };
    assert!(texts.iter().any(late), "{texts:?}");
    assert!(texts.iter().any(|text| text.contains("unhandled error") && text.ends_with(r"a task\nfailed")), "{texts:?}");
    assert_eq!(texts[2], "a call before shutdown failed: not now");
    assert_eq!(texts[3], "a system event trigger panicked: last");
}

/// Calls the function when connected; keeps what it receives.
struct Begins(fn(&Transport) -> Result, Rc<RefCell<Vec<u8>>>);

impl Protocol for Begins {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        (self.0)(transport)
    }

    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.1.borrow_mut().extend_from_slice(data);
        Ok(())
    }
}

/// Connects two protocols that begin so. Returns what was logged, and what each has received.
fn logged_between(server: fn(&Transport) -> Result, client: fn(&Transport) -> Result) -> (Vec<(Level, String)>, Vec<u8>) {
    let got: Rc<RefCell<Vec<u8>>> = Rc::default();
    let lines = logged(Level::Info, || {
        let simulation = Simulation::new(1);
        let (there, here) = (Rc::clone(&got), Rc::clone(&got));
        let listening = simulation.host("10.0.0.1").listen_tcp("0.0.0.0:7", move |_peer| Begins(server, Rc::clone(&there)));
        listening.expect("a free port");
        let connecting = simulation.host("10.0.0.2").connect_tcp("10.0.0.1:7", move |_peer| Begins(client, Rc::clone(&here)));
        connecting.expect("an address");
        simulation.run_for(Duration::from_secs(10)).expect("it runs");
    });
    (lines, got.take())
}

fn says_nothing(_: &Transport) -> Result {
    Ok(())
}

#[test]
fn a_peer_that_compresses_unexpectedly_is_logged_with_the_missing_call() {
    let (lines, _) = logged_between(says_nothing, |transport| {
        transport.set_compression("deflate")?;
        transport.write(b"hello there");
        Ok(())
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    let (level, text) = &lines[0];
    assert!(*level == Level::Error && text.contains("(deflate) after 0 bytes"), "{text}");
    assert!(text.contains("set_detection(Detect::AtStart)"), "{text}");

    let greets = |transport: &Transport| {
        transport.write(b"welcome\r\n");
        transport.set_compression("gzip")?;
        transport.write(b"hello there");
        Ok(())
    };
    let (lines, _) = logged_between(greets, says_nothing);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let (level, text) = &lines[0];
    assert!(*level == Level::Error && text.contains("(gzip) after 9 bytes"), "{text}");
    assert!(text.contains("set_detection(Detect::Anywhere)"), "{text}");
}

#[test]
fn compression_that_begins_late_is_reported_where_a_read_begins_with_it() {
    let (lines, _) = logged_between(
        |transport| {
            transport.write(vec![b'.'; 10_000]);
            let later = transport.clone();
            transport.reactor().call_later(Duration::from_secs(1), move || {
                later.set_compression("deflate-raw").expect("it is open");
                later.write(b"hello there");
            });
            Ok(())
        },
        says_nothing,
    );
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].1.contains("(deflate-raw) after 10000 bytes"), "{lines:?}");
}

#[test]
fn compression_that_is_understood_or_passed_on_is_not_reported() {
    let compresses = |transport: &Transport| {
        transport.set_compression("deflate")?;
        transport.write(b"hello there");
        Ok(())
    };
    let (lines, got) = logged_between(compresses, says_nothing);
    assert_eq!((lines.as_slice(), got.as_slice()), ([].as_slice(), b"hello there".as_slice()));
    let passes_on = |transport: &Transport| {
        transport.set_detection(torsade::Detect::Off);
        Ok(())
    };
    let (lines, got) = logged_between(passes_on, compresses);
    assert_eq!(lines, [], "the program has said that it wants the bytes as they are");
    assert_eq!(got[0], 0x78);
    let (lines, _) = logged_between(says_nothing, |transport| {
        transport.write(b"x marks the spot, (this too), \x1f\x8b, \xa0\0\0\xff\xffP\0\0\xff\xff\xe8\0\0\xff\xff");
        Ok(())
    });
    assert_eq!(lines, [], "a mark that states another position was copied from elsewhere");
}

#[test]
fn the_text_of_an_error_shows_no_control_character_of_a_peers() {
    let hostile = "x\x1b[2J\r\nERROR forged";
    let errors: [Box<dyn Error>; 8] = [
        Box::new(Reason::Protocol(Rc::from(Box::<dyn Error>::from(hostile)))),
        Box::new(Failure::new(hostile)),
        Box::new(Panic::from_payload(&hostile)),
        Box::new(FrameError::Decode(Failure::new(hostile))),
        Box::new(TlsError::Misbehaved(hostile.into())),
        Box::new(CertificateProblem::WrongName { expected: hostile.into(), presented: vec![hostile.into()] }),
        Box::new(hostile.parse::<torsade::HostPort>().expect_err("no address")),
        Box::new(ConnectError::UnknownHost { name: hostile.into(), cause: io::ErrorKind::NotFound.into() }),
    ];
    for error in errors {
        let text = error.to_string();
        assert!(text.contains("forged") && !text.contains(char::is_control), "{text:?}");
    }
}

#[test]
fn an_error_that_main_returns_prints_its_text() {
    let failed = react(|reactor| async move {
        let (deferred, _firer) = Deferred::<()>::new();
        Ok(deferred.add_timeout(Duration::from_millis(1), &reactor).await?)
    });
    let text = format!("{:?}", failed.expect_err("it is never fired"));
    assert_eq!(text, "the Deferred did not fire within 1ms");

    let damaged = DecompressError::new(torsade::Format::Gzip, DecompressErrorKind::Header, 0, 0);
    let errors: Vec<Box<dyn Error>> = vec![
        Box::new(BlockingCallError::ReactorGone),
        Box::new(CertificateProblem::Expired),
        Box::new(ConnectError::Refused),
        Box::new(damaged.clone()),
        Box::new(DeferredError::Taken),
        Box::new(FrameError::<Failure>::Stuck),
        Box::new(ListenError::ShuttingDown),
        Box::new(ProducerError::Closed),
        Box::new(QueueError::Overflow),
        Box::new(ReactorError::NotRestartable),
        Box::new(ReactorGone),
        Box::new(Reason::Decompress(damaged)),
        Box::new(Reason::TimedOut(Deadline::Flush)),
        Box::new(StartTlsError::AlreadyOn),
        Box::new(StatefulError::Stuck),
        Box::new(TaskError::Done),
        Box::new(TimerError::AlreadyCalled),
        Box::new(TlsError::NotTls),
        Box::new(WorkerError::System(io::ErrorKind::OutOfMemory.into())),
        Box::new("localhost".parse::<torsade::HostPort>().expect_err("the port is missing")),
        Box::new(torsade::Format::ALL[0].name().parse::<std::num::NonZeroU8>().err().map(Failure::new).expect("not a number")),
    ];
    for error in errors {
        assert_eq!(format!("{error:?}"), error.to_string());
    }
}

#[test]
fn an_address_that_cannot_be_understood_gets_an_error_that_says_what_is_accepted() {
    let reactor = Reactor::new().expect("descriptors");
    let listening = reactor.listen_tcp("8001", |_peer| Peer(b"", |_| {})).expect_err("no address").to_string();
    assert!(listening.contains("127.0.0.1:8000") && !listening.contains("localhost"), "{listening}");
    let connecting = reactor.connect_tcp("8001", |_peer| Peer(b"", |_| {})).expect_err("no address").to_string();
    assert!(connecting.contains("localhost:8000"), "{connecting}");
}

#[test]
fn text_that_was_escaped_is_not_escaped_again() {
    let once = Escaped("\x1b\\").to_string();
    assert_eq!(Escaped(&once).to_string(), once);
}

/// A reactor that listens, with a factory that holds the reactor, and that stops as soon as it runs.
fn listening_reactor() -> Reactor {
    let reactor = Reactor::new().expect("descriptors");
    let (kept, stopper) = (reactor.clone(), reactor.clone());
    let listened = reactor.listen_tcp("127.0.0.1:0", move |_peer| {
        let _inside = &kept;
        LineReceiver::new(Doubles)
    });
    listened.expect("a free port");
    reactor.call_later(Duration::ZERO, move || stopper.stop().expect("it runs"));
    reactor
}

#[test]
fn a_reactor_that_listens_and_is_never_run_is_reported() {
    let name = "errors::a_reactor_that_listens_and_is_never_run_is_reported";
    if is_child(name) {
        let ends: [fn(Reactor); 3] = [
            |_forgotten| {},
            |reactor| reactor.disconnect_all().expect("it does not run"),
            |reactor| reactor.run().expect("it stops"),
        ];
        for end in ends {
            std::thread::spawn(move || end(listening_reactor())).join().expect("no panic");
        }
        return;
    }
    let told = told_by(child(name));
    let lines = ours(&told);
    assert_eq!(lines.len(), 1, "{told}");
    assert!(lines[0].starts_with("a port listening on 127.0.0.1:") && lines[0].ends_with("call `run()`"), "{told}");
}

#[test]
fn a_slow_callback_is_reported_with_its_connection_its_name_and_the_time() {
    let lines = logged(Level::Info, || {
        let reactor = Reactor::new().expect("descriptors");
        reactor.set_slow_callback_duration(Duration::ZERO);
        let port = reactor.listen_tcp("127.0.0.1:0", |_peer| LineReceiver::new(Doubles)).expect("a free port");
        let left = Rc::new(RefCell::new(1));
        let address = port.address();
        reactor.connect_tcp(address, move |_peer| Says("x\r\n", Rc::clone(&left))).expect("an address");
        reactor.spawn(async {}).into_deferred().detach();
        reactor.run().expect("it stops");
    });
    let told = |subject: &str, callback: &str| {
        let fits = |(level, line): &(Level, String)| {
            let held_up = line.split_once(" held up the loop for ");
            held_up.is_some_and(|(who, time)| who.starts_with(subject) && who.ends_with(callback) && time.ends_with('s'))
                && *level == Level::Error
        };
        assert!(lines.iter().any(fits), "{subject}, {callback}: {lines:#?}");
    };
    told("a port listening on 127.0.0.1:", ": build_protocol");
    for callback in [": connection_made", ": data_received", ": connection_lost"] {
        told("connection ", callback);
    }
    told("a delayed call made at ", "");
    told("a task made at tests/telling/errors.rs:", "");
}

#[test]
fn no_callback_is_slow_where_time_is_simulated_or_the_limit_is_out_of_reach() {
    let lines = logged(Level::Info, || {
        let reactor = torsade::MemoryReactor::new();
        reactor.set_slow_callback_duration(Duration::ZERO);
        let (sender, receiver) = std::sync::mpsc::channel();
        reactor.call_later(Duration::from_secs(1), move || sender.send(()).expect("it waits"));
        reactor.advance(Duration::from_secs(3));
        receiver.recv().expect("it was called");
        let reactor = Reactor::new().expect("descriptors");
        reactor.set_slow_callback_duration(Duration::MAX);
        let stopper = reactor.clone();
        reactor.call_later(Duration::ZERO, move || stopper.stop().expect("it runs"));
        reactor.run().expect("it stops");
    });
    assert_eq!(lines, []);
}

#[test]
fn a_connections_task_that_ends_with_its_reactor_is_no_error() {
    struct Waiting;

    impl Protocol for Waiting {
        fn connection_made(&mut self, transport: &Transport) -> Result {
            transport.spawn(|_| std::future::pending::<()>());
            Ok(())
        }

        fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
            Ok(())
        }
    }

    for ends in [Host::kill, Host::crash] {
        let lines = logged(Level::Warn, || {
            let simulation = Simulation::new(1);
            let server = simulation.host("10.0.0.1");
            server.listen("tcp:7", |_peer| Waiting).unwrap();
            simulation.host("10.0.0.2").connect("10.0.0.1:7", |_peer| Waiting).unwrap();
            simulation.run_for(Duration::from_secs(1)).unwrap();
            ends(&server);
            simulation.run_for(Duration::from_secs(1)).unwrap();
        });
        assert_eq!(lines, []);
    }
}
