//! Compressed connections in simulated networks, with segments of a few bytes, delays and retransmissions: the examples,
//! unchanged, and what is held back or flushed late, in virtual time (groups 1, 4 to 9 and 18).

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation, simulate_with};
use torsade::wire::Echo;

#[allow(dead_code)]
#[path = "../../examples/compress_tunnel.rs"]
mod compress_tunnel;
#[allow(dead_code)]
#[path = "../../examples/imap_client.rs"]
mod imap_client;
#[allow(dead_code)]
#[path = "../../examples/mccp_server.rs"]
mod mccp_server;
#[allow(dead_code)]
#[path = "../../examples/ngircd_link.rs"]
mod ngircd_link;
use crate::support::formats;

/// Bad, but nothing is lost for good.
fn faults() -> Faults {
    Faults { segment: 1..=20, ..Faults::lossy() }
}

fn text(length: usize) -> Vec<u8> {
    (0..length).map(|at| b"the same again, and a little else; "[(at + at / 500) % 35]).collect()
}

/// Sends something, ends its stream, and keeps what comes back and the reason of the end.
#[derive(Clone, Default)]
struct Caller {
    says: Vec<u8>,
    heard: Rc<RefCell<Vec<u8>>>,
    reason: Rc<RefCell<Option<Reason>>>,
    transport: Rc<RefCell<Option<Transport>>>,
}

impl Caller {
    fn saying(says: Vec<u8>) -> Self {
        Self { says, ..Self::default() }
    }

    fn call(&self, reactor: &Reactor, address: &str) {
        let caller = self.clone();
        reactor.connect_tcp(address, move |_peer| caller.clone()).expect("an address");
    }

    fn ended(&self) -> bool {
        self.reason.borrow().is_some()
    }
}

impl Protocol for Caller {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.transport.replace(Some(transport.clone()));
        transport.write(&self.says);
        if !self.says.is_empty() {
            transport.lose_write_connection();
        }
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        self.heard.borrow_mut().extend_from_slice(data);
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &Transport, reason: &Reason) -> Result {
        self.reason.replace(Some(reason.clone()));
        Ok(())
    }
}

/// A service behind a tunnel between two hosts.
fn tunnel(simulation: &Simulation, format: Format) {
    simulation.host("10.0.0.1").listen_tcp("0.0.0.0:7", |_peer| Echo).expect("the port is free");
    compress_tunnel::start(&simulation.host("10.0.0.2"), true, "0.0.0.0:7001", "10.0.0.1:7", format, None)
        .expect("the port is free");
    compress_tunnel::start(&simulation.host("10.0.0.3"), false, "0.0.0.0:7000", "10.0.0.2:7001", format, None).expect("free");
}

#[test]
fn a_tunnel_carries_every_byte_and_both_ends_of_the_stream() {
    for format in formats() {
        simulate_with(&faults(), 0..6, |simulation| {
            tunnel(simulation, format);
            let caller = Caller::saying(text(5000));
            caller.call(&simulation.host("10.0.0.4"), "10.0.0.3:7000");
            simulation.run_until(|| caller.ended())?;
            assert!(*caller.heard.borrow() == text(5000), "{format}: {} bytes", caller.heard.borrow().len());
            assert!(caller.reason.borrow().as_ref().is_some_and(Reason::is_clean), "{format}: {:?}", caller.reason);
            simulation.run_until(|| simulation.connections() == 0)
        });
    }
}

#[test]
fn a_tunnel_says_as_json_what_its_legs_have_carried() {
    simulate_with(&faults(), 0..1, |simulation| {
        simulation.host("10.0.0.1").listen_tcp("0.0.0.0:7", |_peer| Echo).expect("the port is free");
        let [far, near] = [("10.0.0.2", true), ("10.0.0.3", false)].map(|(host, far)| {
            let (endpoint, target) = if far { ("0.0.0.0:7001", "10.0.0.1:7") } else { ("0.0.0.0:7000", "10.0.0.2:7001") };
            compress_tunnel::start(&simulation.host(host), far, endpoint, target, Format::Deflate, None)
                .expect("the port is free")
                .1
        });
        let nothing = r#"{"seconds":0.000,"connections":0,"messages":0,"flushes":0,"sent":{"plain":0,"wire":0,"ratio":null},"got":{"plain":0,"wire":0,"ratio":null}}"#;
        assert_eq!(near.borrow().json(Duration::ZERO), nothing);
        for _ in 0..2 {
            let caller = Caller::saying(text(5000));
            caller.call(&simulation.host("10.0.0.4"), "10.0.0.3:7000");
            simulation.run_until(|| caller.ended())?;
        }
        simulation.run_until(|| simulation.connections() == 0)?;
        let [far, near] = [far, near].map(|meter| meter.borrow().json(Duration::from_millis(1500)));
        assert!(near.starts_with(r#"{"seconds":1.500,"connections":2,"messages":"#), "{near}");
        let direction = |json: &str, name: &str| {
            let begin = json.find(&format!(r#""{name}":{{"plain":10000,"wire":"#)).expect("everything that was said");
            json[begin..].split_inclusive('}').next().map(|object| object[name.len() + 3..].to_owned())
        };
        assert_eq!(direction(&near, "sent"), direction(&far, "got"));
        assert_eq!(direction(&near, "got"), direction(&far, "sent"));
        Ok::<_, torsade::simulated::SimulationError>(())
    });
}

#[test]
fn a_tunnel_through_which_nothing_is_said_ends_in_order() {
    simulate_with(&faults(), 0..6, |simulation| {
        tunnel(simulation, Format::Deflate);
        let caller = Caller::default();
        caller.call(&simulation.host("10.0.0.4"), "10.0.0.3:7000");
        simulation.run_until(|| caller.transport.borrow().is_some())?;
        caller.transport.borrow().as_ref().unwrap().lose_connection();
        simulation.run_until(|| caller.ended() && simulation.connections() == 0)?;
        assert!(caller.reason.borrow().as_ref().is_some_and(Reason::is_clean), "{:?}", caller.reason);
        Ok::<_, torsade::simulated::SimulationError>(())
    });
}

#[test]
fn a_tunnel_whose_service_is_not_there_refuses() {
    simulate_with(&faults(), 0..3, |simulation| {
        compress_tunnel::start(&simulation.host("10.0.0.3"), false, "0.0.0.0:7000", "10.0.0.2:7001", Format::Gzip, None)
            .expect("free");
        let caller = Caller::saying(b"anybody there?".to_vec());
        simulation.host("10.0.0.2");
        caller.call(&simulation.host("10.0.0.4"), "10.0.0.3:7000");
        simulation.run_until(|| caller.ended())?;
        assert!(matches!(&*caller.reason.borrow(), Some(Reason::ConnectionLost(_))), "{:?}", caller.reason);
        Ok::<_, torsade::simulated::SimulationError>(())
    });
}

/// As much of an IMAP server as the client needs: an answer to each command, and COMPRESS.
struct Imap {
    commands: Rc<RefCell<Vec<String>>>,
    compresses: bool,
}

impl LineProtocol for Imap {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        transport.send_line("* OK IMAP4rev1 ready");
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        let line = String::from_utf8_lossy(line).into_owned();
        let (tag, command) = line.split_once(' ').ok_or("a tag and a command")?;
        self.commands.borrow_mut().push(command.to_owned());
        match command {
            "COMPRESS DEFLATE" if self.compresses => {
                transport.send_line(format!("{tag} OK DEFLATE active"));
                transport.set_compression(Compression::deflate_raw().announce(false))?;
                transport.expect_compression("deflate-raw")?;
                return Ok(());
            }
            "COMPRESS DEFLATE" => {
                transport.send_line(format!("{tag} NO not here"));
                return Ok(());
            }
            "LOGOUT" => transport.send_line("* BYE"),
            _ => (0..20).for_each(|number| transport.send_line(format!("* {number} something about {command}"))),
        }
        transport.send_line(format!("{tag} OK done"));
        if command == "LOGOUT" {
            transport.lose_connection();
        }
        Ok(())
    }
}

#[test]
fn the_imap_client_talks_on_inside_the_compressed_stream_or_without_it() {
    for compresses in [true, false] {
        simulate_with(&faults(), 0..15, |simulation| {
            let commands = Rc::default();
            let heard = Rc::clone(&commands);
            let server = simulation.host("10.0.0.1");
            server
                .listen_tcp("0.0.0.0:143", move |_peer| LineReceiver::new(Imap { commands: Rc::clone(&heard), compresses }))
                .expect("the port is free");
            let client = simulation.host("10.0.0.2");
            imap_client::start(&client, "10.0.0.1:143", "anna", "secret").expect("an address");
            simulation.run_until(|| !client.is_running() && simulation.now() > Duration::ZERO)?;
            let expected = ["LOGIN anna secret", "COMPRESS DEFLATE", "CAPABILITY", "LIST \"\" *", "EXAMINE INBOX"];
            assert_eq!(commands.borrow()[..5], expected);
            assert_eq!(commands.borrow().last().map(String::as_str), Some("LOGOUT"));
            Ok::<_, torsade::simulated::SimulationError>(())
        });
    }
}

/// As much of an IRC server as the link needs.
struct Irc {
    lines: Rc<RefCell<Vec<String>>>,
}

impl LineProtocol for Irc {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        let line = String::from_utf8_lossy(line).into_owned();
        if line.starts_with("SERVER") {
            transport.send_line(":irc.example.org PASS theirs 0210-IRC+ ngIRCd|26.1:CHLMSXZ PZ");
            transport.send_line(":irc.example.org SERVER irc.example.org 1 :test");
            transport.set_compression(Compression::deflate().announce(false))?;
            transport.expect_compression("deflate")?;
            transport.send_line("PING irc.example.org");
            transport.send_line(":anna PRIVMSG #torsade :count");
        }
        self.lines.borrow_mut().push(line);
        Ok(())
    }
}

#[test]
fn the_irc_link_switches_after_the_server_lines_of_both_sides() {
    simulate_with(&faults(), 0..15, |simulation| {
        let lines = Rc::<RefCell<Vec<String>>>::default();
        let heard = Rc::clone(&lines);
        let server = simulation.host("10.0.0.1");
        server.listen_tcp("0.0.0.0:6667", move |_peer| LineReceiver::new(Irc { lines: Rc::clone(&heard) })).expect("free");
        ngircd_link::start(&simulation.host("10.0.0.2"), "10.0.0.1:6667", "ours").expect("an address");
        let said = |what: &str| lines.borrow().iter().any(|line| line.contains(what));
        simulation.run_until(|| said("that was number 1"))?;
        for line in ["PASS ours", "376 irc.example.org", "NICK parrot", ":parrot JOIN #torsade", "PONG"] {
            assert!(said(line), "{line} in {lines:?}");
        }
        Ok::<_, torsade::simulated::SimulationError>(())
    });
}

#[test]
fn the_mud_compresses_from_the_byte_after_the_marker_and_stops_when_asked() {
    const MARKER: &[u8] = &[255, 250, 86, 255, 240];
    simulate_with(&faults(), 0..15, |simulation| {
        mccp_server::start(&simulation.host("10.0.0.1"), "0.0.0.0:4000").expect("the port is free");
        let player = Caller::default();
        player.call(&simulation.host("10.0.0.2"), "10.0.0.1:4000");
        simulation.run_until(|| player.heard.borrow().ends_with(b"your name?\r\n"))?;
        let say = |words: &[u8]| player.transport.borrow().as_ref().unwrap().write(words);
        // The request comes in the middle of a line, as clients send it.
        say(b"An\xff\xfd\x56na\r\n");
        let stream = |heard: &[u8]| {
            let at = heard.windows(5).position(|window| window == MARKER)? + 5;
            let mut inflate = flate2::Decompress::new(true);
            let mut plain = Vec::with_capacity(100_000);
            let status = inflate.decompress_vec(&heard[at..], &mut plain, flate2::FlushDecompress::None).ok()?;
            let rest = heard[at + inflate.total_in() as usize..].to_vec();
            Some((plain, rest, status == flate2::Status::StreamEnd))
        };
        let heard = |wanted: &[u8]| {
            stream(&player.heard.borrow()).is_some_and(|(plain, ..)| plain.windows(wanted.len()).any(|window| window == wanted))
        };
        simulation.run_until(|| heard(b"Anna walks in.\r\n"))?;
        say(b"look\r\n");
        simulation.run_until(|| heard(b"You see: Anna.\r\n"))?;
        say(b"\xff\xfe\x56hello\r\n");
        simulation.run_until(|| player.heard.borrow().ends_with(b"Anna says: hello\r\n"))?;
        let (plain, rest, ended) = stream(&player.heard.borrow()).expect("a stream");
        assert!(ended && rest == b"Anna says: hello\r\n", "{rest:?} after {} bytes", plain.len());
        Ok::<_, torsade::simulated::SimulationError>(())
    });
}

/// Sends something to each client, some of it compressed.
#[derive(Clone, Default)]
struct Says {
    plain: &'static str,
    compression: Option<Compression>,
    then: Vec<u8>,
    /// A tenth of a second later.
    later: Vec<u8>,
}

impl Says {
    /// Listens, and connects; returns the caller, whose connection has just been made.
    fn greet(self, simulation: &Simulation) -> Caller {
        simulation.host("10.0.0.1").listen_tcp("0.0.0.0:1", move |_peer| self.clone()).expect("the port is free");
        let caller = Caller::default();
        caller.call(&simulation.host("10.0.0.2"), "10.0.0.1:1");
        simulation.run_until(|| caller.transport.borrow().is_some()).unwrap();
        caller
    }
}

impl Protocol for Says {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.write(self.plain);
        if let Some(compression) = &self.compression {
            transport.set_compression::<Compression>(compression.clone())?;
        }
        transport.write(&self.then);
        let (later, writer) = (std::mem::take(&mut self.later), transport.clone());
        transport.reactor().call_later(Duration::from_millis(100), move || writer.write(later));
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

/// How long a caller waits for the first of these bytes.
fn wait_for(says: Says) -> Duration {
    let simulation = Simulation::new(1);
    let caller = says.greet(&simulation);
    let made = simulation.now();
    simulation.run_until(|| !caller.heard.borrow().is_empty()).unwrap();
    simulation.now() - made
}

#[test]
fn a_held_byte_waits_a_quarter_of_a_second_of_virtual_time() {
    let held = wait_for(Says { plain: "x", ..Says::default() });
    assert!(held >= Duration::from_millis(250) && held < Duration::from_millis(500), "{held:?}");
}

#[test]
fn a_delayed_flush_comes_by_its_timer_or_by_its_bytes() {
    let flush = Flush::After { bytes: 1000, delay: Duration::from_secs(5) };
    let says = |then| Says { compression: Some(Compression::deflate().flush(flush)), then, ..Says::default() };
    let wait = wait_for(says(b"telemetry".to_vec()));
    assert!(wait >= Duration::from_secs(5) && wait < Duration::from_secs(6), "{wait:?}");
    assert!(wait_for(says(text(2000))) < Duration::from_secs(1), "that many bytes do not wait");
}

#[test]
fn an_announcement_is_found_byte_by_byte_at_the_start_and_in_mid_stream() {
    for format in formats() {
        // lz4 has no mark for mid-stream.
        for plain in ["", "220 ready\r\n"].into_iter().filter(|plain| plain.is_empty() || format != Format::Lz4) {
            let simulation = Simulation::with_faults(1, Faults { segment: 1..=1, ..Faults::calm() });
            let (compression, then) = (Some(format.into()), b"compressed".to_vec());
            let caller = Says { plain, compression, then, ..Says::default() }.greet(&simulation);
            if !plain.is_empty() {
                caller.transport.borrow().as_ref().unwrap().set_detection(Detect::Anywhere);
            }
            simulation.run_for(Duration::from_secs(1)).unwrap();
            assert_eq!(
                caller.heard.borrow().escape_ascii().to_string(),
                format!("{}compressed", plain.escape_default()),
                "{format}"
            );
        }
    }
}

/// Gives back the second half of what arrives first, then looks for announcements.
struct GivesBack {
    given: bool,
    heard: Rc<RefCell<Vec<u8>>>,
}

impl Protocol for GivesBack {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        if std::mem::replace(&mut self.given, true) {
            transport.set_detection(Detect::Anywhere);
            self.heard.borrow_mut().extend_from_slice(data);
        } else {
            let (taken, rest) = data.split_at(data.len() / 2);
            self.heard.borrow_mut().extend_from_slice(taken);
            transport.unread(rest);
        }
        Ok(())
    }
}

#[test]
fn what_was_given_back_counts_once_for_the_place_of_an_announcement() {
    let simulation = Simulation::new(1);
    let heard = Rc::new(RefCell::new(Vec::new()));
    let kept = Rc::clone(&heard);
    let server = simulation.host("10.0.0.1");
    server.listen_tcp("0.0.0.0:7", move |_peer| GivesBack { given: false, heard: Rc::clone(&kept) }).expect("the port is free");
    let caller = Caller::default();
    caller.call(&simulation.host("10.0.0.2"), "10.0.0.1:7");
    simulation.run_until(|| caller.transport.borrow().is_some()).unwrap();
    let transport = caller.transport.borrow().clone().unwrap();
    transport.write("plain bytes, ");
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(*heard.borrow(), b"plain bytes, ");
    transport.set_compression("deflate").unwrap();
    transport.write("and compressed ones");
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(heard.borrow().escape_ascii().to_string(), "plain bytes, and compressed ones");
}

/// The timeout is for the rest of a beginning that the peer has not sent, not for what waits in the socket while reading is
/// paused.
#[test]
fn an_announcement_in_whose_middle_the_reader_pauses_is_not_late() {
    // What torsade sends at level 6, with one stored block after the announcement.
    let mut stream = b"\x78\x9c\xa0\0\0\xff\xff\x50\0\0\xff\xff\xd8\0\0\xff\xff".to_vec();
    stream.extend(b"\x01\x05\0\xfa\xffhello\x06\x2c\x02\x15");
    for cut in 1..17 {
        let simulation = Simulation::new(1);
        let (then, later) = (stream[..cut].to_vec(), stream[cut..].to_vec());
        let caller = Says { then, later, ..Says::default() }.greet(&simulation);
        simulation.run_for(Duration::from_millis(50)).unwrap();
        let reader = caller.transport.borrow().clone().unwrap();
        reader.pause_producing();
        simulation.run_for(Duration::from_secs(10)).unwrap();
        reader.resume_producing();
        simulation.run_for(Duration::from_secs(1)).unwrap();
        assert_eq!(caller.heard.borrow().escape_ascii().to_string(), "hello", "cut at {cut}: {:?}", caller.reason);
    }
}
