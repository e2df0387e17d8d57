//! Two protocols connected in memory: what `IoPump` moves, and how its connections end.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::testing::{IoPump, IoPumpError, connected_server_and_client};
use torsade_protocols::{FileSender, Protocol, Reason, Result, Transport};

type Log = Rc<RefCell<Vec<String>>>;
type OnData = fn(&Transport, &[u8]);

/// Records each callback, and does what it was given for data.
struct Noted {
    log: Log,
    on_data: OnData,
    half_closeable: bool,
    greeting: &'static [u8],
}

fn noted(on_data: OnData) -> (Noted, Log) {
    let log = Log::default();
    (Noted { log: Rc::clone(&log), on_data, half_closeable: false, greeting: b"" }, log)
}

impl Noted {
    fn note(&self, what: impl Into<String>) {
        self.log.borrow_mut().push(what.into());
    }
}

impl Protocol for Noted {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.note("made");
        transport.write(self.greeting);
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.note(data.escape_ascii().to_string());
        if data == b"fail" {
            return Err("told to".into());
        }
        (self.on_data)(transport, data);
        Ok(())
    }

    fn read_connection_lost(&mut self, transport: &Transport) -> Result {
        self.note("read end");
        if !self.half_closeable {
            transport.lose_connection();
        }
        Ok(())
    }

    fn write_connection_lost(&mut self, _transport: &Transport) -> Result {
        self.note("write end");
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &Transport, reason: &Reason) -> Result {
        self.note(reason.kind());
        Ok(())
    }
}

fn ignore(_: &Transport, _: &[u8]) {}

fn echo(transport: &Transport, data: &[u8]) {
    transport.write(data);
}

#[test]
fn a_pump_moves_what_each_side_wrote_once() {
    let (server, served) = noted(echo);
    let (mut client, answered) = noted(ignore);
    client.greeting = b"hi";
    let mut pump = IoPump::new(server, client);
    assert!(pump.pump());
    assert_eq!(*served.borrow(), ["made", "hi"]);
    assert_eq!(*answered.borrow(), ["made"], "the answer waits for the next pump");
    assert!(pump.pump());
    assert_eq!(*answered.borrow(), ["made", "hi"]);
    assert!(!pump.pump());
}

#[test]
fn two_that_echo_are_never_quiet_and_say_so() {
    let (server, _) = noted(echo);
    let (mut client, _) = noted(echo);
    client.greeting = b"x";
    let error = connected_server_and_client(server, client).map(drop).expect_err("they talk forever");
    assert_eq!(error, IoPumpError::NeverQuiet { rounds: 1000 });
    assert!(error.to_string().contains("`pump`"));
}

#[test]
fn lose_connection_sends_what_was_written_and_waits_for_the_other_end() -> Result {
    let (server, served) = noted(|transport, _| {
        transport.write(b"bye");
        transport.lose_connection();
        transport.write(b", late");
    });
    let (client, answered) = noted(ignore);
    let mut pump = connected_server_and_client(server, client)?;
    pump.client().call(|transport| transport.write(b"go"));
    assert!(pump.pump());
    assert_eq!(*served.borrow(), ["made", "go"], "the close waits for the peer");
    pump.flush()?;
    assert_eq!(*served.borrow(), ["made", "go", "ConnectionDone"]);
    assert_eq!(*answered.borrow(), ["made", "bye, late", "read end", "ConnectionDone"]);
    assert!(!pump.server().is_connected() && !pump.client().is_connected());
    Ok(())
}

#[test]
fn with_a_half_close_the_other_direction_goes_on() -> Result {
    let (mut server, served) = noted(ignore);
    server.half_closeable = true;
    let (client, answered) = noted(ignore);
    let mut pump = connected_server_and_client(server, client)?;
    pump.client().call(|transport| {
        transport.write(b"all");
        transport.lose_write_connection();
    });
    pump.flush()?;
    assert_eq!(*served.borrow(), ["made", "all", "read end"]);
    assert_eq!(*answered.borrow(), ["made", "write end"]);
    pump.server().call(|transport| transport.write(b"answer"));
    pump.flush()?;
    assert_eq!(answered.borrow().last().map(String::as_str), Some("answer"));
    pump.server().call(|transport| transport.lose_write_connection());
    pump.flush()?;
    assert_eq!(served.borrow()[3..], ["write end", "ConnectionDone"], "both halves are closed");
    assert_eq!(answered.borrow()[3..], ["read end", "ConnectionDone"]);
    Ok(())
}

#[test]
fn an_abort_drops_what_was_not_pumped_and_the_other_side_sees_a_reset() -> Result {
    let (server, served) = noted(ignore);
    let (client, answered) = noted(ignore);
    let mut pump = connected_server_and_client(server, client)?;
    pump.client().call(|transport| {
        transport.write(b"lost");
        transport.abort_connection();
    });
    assert_eq!(pump.flush()?, 1);
    assert_eq!(*answered.borrow(), ["made", "ConnectionAborted"]);
    assert_eq!(*served.borrow(), ["made", "ConnectionLost"]);
    let reset =
        matches!(pump.server().reason(), Some(Reason::ConnectionLost(error)) if error.kind() == io::ErrorKind::ConnectionReset);
    assert!(reset, "{:?}", pump.server().reason());
    Ok(())
}

#[test]
fn an_abort_after_a_half_close_is_still_seen() -> Result {
    let (mut server, served) = noted(ignore);
    server.half_closeable = true;
    let (client, _) = noted(ignore);
    let mut pump = connected_server_and_client(server, client)?;
    pump.client().call(|transport| transport.lose_write_connection());
    pump.flush()?;
    pump.client().call(|transport| transport.abort_connection());
    pump.flush()?;
    assert_eq!(*served.borrow(), ["made", "read end", "ConnectionLost"]);
    Ok(())
}

#[test]
fn an_error_of_one_side_is_its_reason_and_an_orderly_end_for_the_other() -> Result {
    let (mut server, served) = noted(ignore);
    server.greeting = b"welcome";
    let (client, answered) = noted(ignore);
    let mut pump = connected_server_and_client(server, client)?;
    pump.client().call(|transport| transport.write(b"fail"));
    pump.flush()?;
    assert_eq!(*served.borrow(), ["made", "fail", "Protocol"]);
    assert_eq!(*answered.borrow(), ["made", "welcome", "read end", "ConnectionDone"]);
    Ok(())
}

#[test]
fn the_end_waits_behind_data_for_a_paused_reader() -> Result {
    let (server, served) = noted(ignore);
    let (client, _) = noted(ignore);
    let mut pump = connected_server_and_client(server, client)?;
    pump.server().call(|transport| transport.pause_producing());
    pump.client().call(|transport| {
        transport.write(b"data");
        transport.lose_connection();
    });
    pump.flush()?;
    assert_eq!(*served.borrow(), ["made"]);
    pump.server().call(|transport| transport.resume_producing());
    pump.flush()?;
    assert_eq!(*served.borrow(), ["made", "data", "read end", "ConnectionDone"]);
    Ok(())
}

#[test]
fn a_pull_producer_is_asked_until_it_has_no_more() -> Result {
    struct Collect(Vec<u8>, usize);
    impl Protocol for Collect {
        fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
            self.0.extend_from_slice(data);
            self.1 = self.1.max(data.len());
            Ok(())
        }
    }
    let file: Vec<u8> = (0..300_000_u32).map(|byte| byte.to_le_bytes()[0]).collect();
    let (server, _) = noted(ignore);
    let mut pump = connected_server_and_client(server, Collect(Vec::new(), 0))?;
    let mut sent = Ok(());
    pump.server().call(|transport| {
        sent = FileSender::new(io::Cursor::new(file.clone())).begin_file_transfer(transport, |_, _| Ok(()));
        transport.lose_connection();
    });
    sent?;
    pump.flush()?;
    assert!(pump.client().protocol().0 == file);
    assert!(pump.client().protocol().1 <= 64 * 1024);
    assert!(pump.server().reason().is_some_and(Reason::is_clean));
    Ok(())
}

#[test]
fn two_that_are_each_others_producers_do_not_wait_for_each_other() -> Result {
    let mut pumps = [
        connected_server_and_client(noted(ignore).0, noted(ignore).0)?,
        connected_server_and_client(noted(ignore).0, noted(ignore).0)?,
    ];
    let [near, far]: [Transport; 2] = pumps.each_mut().map(|pump| Transport::clone(pump.server()));
    near.register_producer(far.clone(), true)?;
    far.register_producer(near.clone(), true)?;
    near.lose_connection();
    assert_eq!(pumps[1].server().producer(), None, "it has unregistered itself");
    for pump in &mut pumps {
        // The first producer is stopped when its consumer ends, and closes in turn.
        pump.flush()?;
        assert!(pump.server().reason().is_some_and(Reason::is_clean));
    }
    Ok(())
}

#[test]
fn both_sides_go_by_one_clock_and_have_each_others_address() -> Result {
    let (server, _) = noted(ignore);
    let (client, answered) = noted(ignore);
    let mut pump = connected_server_and_client(server, client)?;
    assert_eq!(pump.server().host(), pump.client().peer());
    assert_eq!(pump.server().peer(), pump.client().host());
    let transport: Transport = Transport::clone(pump.server());
    transport.reactor().clone().call_later(Duration::from_secs(3), move || transport.write(b"tick"));
    pump.advance(Duration::from_secs(2));
    assert!(!pump.pump());
    pump.advance(Duration::from_secs(1));
    assert!(pump.pump());
    assert_eq!(*answered.borrow(), ["made", "tick"]);
    Ok(())
}
