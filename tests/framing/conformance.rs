//! The conformance kit: our own framings pass it, and it finds planted faults.

use std::time::Duration;

use torsade::conformance::{Conformance, Difference, Notes};
use torsade::prelude::*;
use torsade::wire::Echo;
use torsade::{
    Int8StringReceiver, Int16StringReceiver, Int32StringReceiver, NetstringReceiver, StringFrameTransport, StringProtocol,
};

/// Records and answers each line; `raw N` asks for N raw bytes, `quit` closes.
struct Lines {
    notes: Notes,
    raw: usize,
}

impl Lines {
    fn new(notes: &Notes) -> LineReceiver<Self> {
        LineReceiver::new(Self { notes: notes.clone(), raw: 0 }).max_length(40)
    }
}

impl LineProtocol for Lines {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        self.notes.note(format!("line {}", line.escape_ascii()));
        if let Some(count) = line.strip_prefix(b"raw ") {
            self.raw = std::str::from_utf8(count)?.parse()?;
            transport.set_raw_mode();
        } else if line == b"quit" {
            transport.lose_connection();
        }
        transport.send_line([b"got ", line].concat());
        Ok(())
    }

    fn raw_data_received(&mut self, transport: &LineTransport, data: &[u8]) -> Result {
        // How raw data is cut does not matter: only the bytes count.
        let (ours, rest) = data.split_at(data.len().min(self.raw));
        self.raw -= ours.len();
        transport.write(ours);
        if self.raw == 0 {
            transport.set_line_mode(rest);
        }
        Ok(())
    }
}

struct Strings(Notes);

impl StringProtocol for Strings {
    fn string_received(&mut self, transport: &StringFrameTransport, string: &[u8]) -> Result {
        self.0.note(string.escape_ascii().to_string());
        Ok(transport.send_string(string)?)
    }
}

#[test]
fn lines_and_raw_data_are_the_same_however_they_arrive() {
    Conformance::new(Lines::new).send(b"one\r\n\r\nraw 5\r\n\r\nabctwo\r\nha").send("lf\r\nthree\r\n").assert();
    Conformance::new(Lines::new).send(b"one\r\nquit\r\nmore\r\n").assert();
}

#[test]
fn a_line_that_is_too_long_is_refused_however_it_arrives() {
    Conformance::new(Lines::new).send([b"ok\r\n", &[b'x'; 60][..], b"\r\nnever\r\n"].concat()).assert();
}

#[test]
fn strings_are_the_same_however_they_arrive() {
    let netstrings = |notes: &Notes| NetstringReceiver::new(Strings(notes.clone()));
    Conformance::new(netstrings).send(b"3:one,0:,12:hello, world,1:x,").assert();
    Conformance::new(netstrings).send(b"3:one,1:xyz,1:a,").assert();
    Conformance::new(netstrings).send(b"3:one,0").send(b"1:a,").assert();
    let bytes = |notes: &Notes| Int8StringReceiver::new(Strings(notes.clone()));
    Conformance::new(bytes).send(b"\x03one\0\x05three\x01").assert();
    let words = |notes: &Notes| Int16StringReceiver::new(Strings(notes.clone()));
    Conformance::new(words).send(b"\0\x03one\0\0\0\x05three\0").assert();
    let longs = |notes: &Notes| Int32StringReceiver::new(Strings(notes.clone())).max_length(10);
    Conformance::new(longs).send(b"\0\0\0\x03one\0\0\0\0\0\0\0\x05three").assert();
    Conformance::new(longs).send(b"\0\0\0\x03one\0\0\0\x0belevenbytes\0\0\0\x01x").assert();
}

#[test]
fn an_echo_is_the_same_with_and_without_compression_and_tls() {
    let summary = Conformance::new(|_| Echo).send("so it is").check().unwrap();
    assert!(summary.compressed && summary.replays > 8 * 4, "{summary:?}");
    assert_eq!(summary.tls, cfg!(feature = "tls"));
    assert!(!Conformance::new(|_| Echo).send("so it is").without_tls().check().unwrap().tls);
}

/// Over TLS it answers a question differently.
#[cfg(feature = "tls")]
#[test]
fn a_protocol_that_does_something_else_over_tls_is_found() {
    struct Snob;

    impl Protocol for Snob {
        fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
            transport.write(if transport.tls_info().is_some() { b"yes" } else { data });
            Ok(())
        }
    }

    let difference = Conformance::new(|_| Snob).send("are you there?").check().unwrap_err();
    assert!(difference.to_string().contains("speaks TLS"), "{difference}");
}

#[cfg(feature = "tls")]
#[test]
fn a_protocol_that_switches_tls_on_by_itself_is_not_run_over_tls() {
    struct Switching(TlsServerConfig);

    impl LineProtocol for Switching {
        fn line_received(&mut self, transport: &LineTransport, _line: &[u8]) -> Result {
            transport.send_line("GO");
            Ok(transport.start_tls(&self.0)?)
        }
    }

    let config = crate::support::keys::server();
    let kit = Conformance::new(move |_| LineReceiver::new(Switching(config.clone()))).send("STARTTLS\r\n");
    // TLS cannot be started above active compression.
    let kit = kit.without_compression();
    assert!(!kit.check().unwrap().tls);
}

#[test]
fn a_protocol_that_compresses_by_itself_is_not_compressed_twice() {
    struct Packed(Notes);

    impl LineProtocol for Packed {
        fn connection_made(&mut self, transport: &LineTransport) -> Result {
            Ok(transport.set_compression("gzip")?)
        }

        fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
            self.0.note(line.escape_ascii().to_string());
            transport.send_line(line);
            Ok(())
        }
    }

    let summary = Conformance::new(|notes| LineReceiver::new(Packed(notes.clone()))).send("a\r\nb\r\n").check().unwrap();
    assert!(!summary.compressed);
}

/// A line framing of its own, with a bug.
#[derive(Clone, Copy, PartialEq)]
enum Bug {
    /// Misses a delimiter that is cut in two.
    Cut,
    /// Mishandles a piece of a single byte, except at the ends.
    Lone,
    /// While it does not read it stops between lines, and never goes on.
    Forgets,
    /// Answers later, and not at all if that is too late.
    Late,
}

struct Buggy {
    bug: Bug,
    notes: Notes,
    buffer: Vec<u8>,
}

impl Buggy {
    fn check(bug: Bug) -> Result<(), Difference> {
        let buggy = move |notes: &Notes| Self { bug, notes: notes.clone(), buffer: Vec::new() };
        Conformance::new(buggy).send("one\r\ntwo\r\nthree\r\n").check().map(drop)
    }

    fn line(&self, transport: &Transport, line: &[u8]) {
        self.notes.note(line.escape_ascii().to_string());
        if self.bug == Bug::Late {
            let (transport, line) = (transport.clone(), line.to_vec());
            transport.reactor().clone().call_later(Duration::from_millis(300), move || transport.write(line));
        } else {
            transport.write(line);
        }
    }
}

impl Protocol for Buggy {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        let lone = self.bug == Bug::Lone && data.len() == 1 && !self.buffer.is_empty() && data != b"\n";
        self.buffer.extend_from_slice(if lone { b"?" } else { data });
        if self.bug == Bug::Cut && data.starts_with(b"\n") {
            self.buffer.clear();
        }
        while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
            if self.bug == Bug::Forgets && !transport.is_reading() {
                break;
            }
            let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
            self.line(transport, &line);
        }
        Ok(())
    }
}

#[test]
fn a_cut_delimiter_is_found_by_one_cut() {
    let difference = Buggy::check(Bug::Cut).unwrap_err();
    assert_eq!(difference.way(), r#"arrives in pieces, "one\r", "\ntwo\r\nthree\r\n""#);
    let text = r#"the protocol behaves differently depending on how its input arrives
  when its input arrives in one piece, "one\r\ntwo\r\nthree\r\n":
    noted "one\\r\\n"
  but when it arrives in pieces, "one\r", "\ntwo\r\nthree\r\n":
    the connection ended: connection was closed cleanly"#;
    assert_eq!(difference.to_string(), text);
}

#[test]
fn what_needs_several_cuts_is_found_with_no_more_of_them() {
    let difference = Buggy::check(Bug::Lone).unwrap_err();
    assert_eq!(difference.way().matches("\", \"").count(), 2, "{difference}");
}

#[test]
fn what_is_forgotten_in_a_pause_is_found() {
    let difference = Buggy::check(Bug::Forgets).unwrap_err();
    assert!(difference.way().contains("reading is paused in callback 1"), "{difference}");
    assert_eq!((difference.expected().notes.len(), difference.found().notes.len()), (3, 1));
}

#[test]
fn an_answer_that_the_end_of_the_stream_cuts_off_is_found() {
    let difference = Buggy::check(Bug::Late).unwrap_err();
    assert!(difference.way().contains("its end right after it"), "{difference}");
    assert_eq!(difference.found().sent, b"");
}

#[test]
fn what_is_forgotten_under_back_pressure_is_found() {
    /// Stops after a line whose answer could not be sent at once, and never goes on.
    struct Congested(Vec<u8>);

    impl Protocol for Congested {
        fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
            self.0.extend_from_slice(data);
            while let Some(end) = self.0.iter().position(|byte| *byte == b'\n')
                && transport.is_reading()
            {
                let line: Vec<u8> = self.0.drain(..=end).collect();
                transport.write(line);
            }
            Ok(())
        }
    }

    let difference = Conformance::new(|_| Congested(Vec::new())).send("one\ntwo\n").check().unwrap_err();
    assert!(difference.way().contains("congested"), "{difference}");
    assert_eq!(difference.found().sent, b"one\n");
}

#[test]
fn a_protocol_that_pauses_by_itself_stays_paused_as_long_as_it_wants() {
    /// Answers a line after a delay, and reads none until then.
    struct Slow(Notes);

    impl LineProtocol for Slow {
        fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
            self.0.note(format!("asked {}", line.escape_ascii()));
            transport.pause_producing();
            let (transport, line, notes) = (transport.clone(), line.to_vec(), self.0.clone());
            transport.reactor().clone().call_later(Duration::from_millis(300), move || {
                notes.note(format!("answered {}", line.escape_ascii()));
                transport.send_line(line);
                transport.resume_producing();
            });
            Ok(())
        }
    }

    Conformance::new(|notes| LineReceiver::new(Slow(notes.clone()))).send("one\r\ntwo\r\n").assert();
}
