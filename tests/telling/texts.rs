//! Texts for people: the event log, and escaping.

use std::time::Duration;

use torsade::event_log::{Event, Log, Subject, fingerprint};
use torsade::{Escaped, Phase, SystemEvent};

#[test]
fn every_subject_and_detail_comes_back_from_its_text() {
    let odd = "a b/%\n\u{7f}é";
    let subjects = [
        Subject::Connection { id: u64::MAX, peer: odd.into() },
        Subject::Connector { destination: "db.example:5432".into() },
        Subject::Port { address: "[::]:8000".into() },
        Subject::Reactor,
        Subject::Thread,
        Subject::Timer { sequence: 7 },
        Subject::Trigger { phase: Phase::During, event: SystemEvent::Shutdown },
    ];
    let mut log = Log::default();
    for subject in subjects {
        let mut event = Event::new(subject, "called");
        (event.turn, event.time) = (3, Duration::from_nanos(1_000_000_007));
        log.push(&"10.0.0.1".into(), event.clone().with_data(b"x"));
        log.push(&"".into(), event.with_reason(odd));
    }
    let text = log.to_string();
    assert_eq!(text.parse(), Ok(log));
    assert!(text.starts_with("torsade-events 1\n10.0.0.1 3 1.000000007 connection/18446744073709551615/a%20b%2F%25%0A%7Fé "));
}

#[test]
fn the_hash_is_the_published_one() {
    assert_eq!(fingerprint(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fingerprint(b"foobar"), 0x8594_4171_f739_67e8);
}

#[test]
fn what_is_not_a_log_is_refused_with_its_line() {
    let parse = |text: &str| text.parse::<Log>().unwrap_err().to_string();
    assert_eq!(parse("torsade-events 2\n"), "line 1 of the event log: a log begins with `torsade-events 1`");
    assert_eq!(
        parse("torsade-events 1\n- 0 0.0 thread called\n"),
        "line 2 of the event log: the time is not seconds with nine decimals"
    );
    assert!(parse("torsade-events 1\n- 1 0.000000000 timer/x called").contains("number"));
    assert!(parse("torsade-events 1\n- 1 0.000000000 thread ca%4").contains('%'));
    assert!("1 0.000000000 thread called new=1".parse::<Event>().is_ok(), "unknown details are skipped");
}

#[test]
fn what_drives_a_terminal_or_forges_a_line_is_escaped_and_all_else_stays() {
    let hostile = "a\0b\x07\x1b[31m\r\nERROR forged\u{7f}\u{85}\u{9b}2J\u{2028}\u{202e}fdp";
    let shown = Escaped(hostile).to_string();
    assert_eq!(shown, r"a\u{0}b\u{7}\u{1b}[31m\r\nERROR forged\u{7f}\u{85}\u{9b}2J\u{2028}\u{202e}fdp");
    assert_eq!(Escaped("Größe \"π\" \\n 日本").to_string(), "Größe \"π\" \\n 日本");
}

#[test]
fn escaping_twice_is_escaping_once() {
    let once = Escaped("\x1b\t\\").to_string();
    assert_eq!(Escaped(&once).to_string(), once);
}
