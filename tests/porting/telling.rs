//! The timeline's text.

use std::collections::BTreeMap;

use crate::port_checker::observed::{End, Heard, Seen};
use crate::port_checker::script::Script;
use crate::port_checker::timeline::{Round, Timeline, Verdict};

fn seen(connections: &[(&str, &str, Option<End>)]) -> Seen {
    let heard = |(name, bytes, end): &(&str, &str, Option<End>)| {
        ((*name).to_owned(), Heard { bytes: bytes.as_bytes().to_vec(), end: end.clone() })
    };
    Seen { connections: connections.iter().map(heard).collect::<BTreeMap<_, _>>(), ..Seen::default() }
}

fn timeline(script: &str, seen: Vec<[Seen; 2]>, verdict: Verdict) -> Timeline {
    let steps = Script::parse(script).unwrap().steps;
    Timeline { rounds: steps.into_iter().zip(seen).map(|(step, seen)| Round { step, seen }).collect(), verdict }
}

#[test]
fn the_first_difference_is_shown_where_it_is() {
    let greeting = seen(&[("a", "name?\r\n", None)]);
    let original = seen(&[("a", "bye\r\n", Some(End::Stream)), ("b", "a left\r\n", None)]);
    let port = seen(&[("b", "a left\r\n", None)]);
    let rounds = vec![[greeting.clone(), greeting], [Seen::default(), Seen::default()], [original, port]];
    let text = timeline("open a\nopen b\nsend a \"/quit\\r\\n\"\n& send b \"x\"\n", rounds, Verdict::Different).to_string();
    let expected = r#"  1  open a
       both      a: "name?\r\n"
  2  open b
  3  send a "/quit\r\n"
     & send b "x"        <-- here they differ
       both      b: "a left\r\n"
       original  a: "bye\r\n", end of stream
       port      nothing
the first difference is in step 3
"#;
    assert_eq!(text, expected);
}

#[test]
fn agreement_and_what_neither_does_are_reported_too() {
    let empty = || [Seen::default(), Seen::default()];
    let same = timeline("open a\nclose a\n", vec![empty(), empty()], Verdict::Same);
    assert_eq!(same.to_string(), "  1  open a\n  2  close a\nthe same in 2 steps\n");
    let unmet = timeline("open a\n", vec![empty()], Verdict::Unmet("a is not connected".into()));
    assert_eq!(unmet.to_string(), "  1  open a\nneither does what step 1 waits for: a is not connected\n");
}

#[test]
fn the_end_of_a_program_and_long_data_are_reported_briefly() {
    let ended = Seen { program: Some("exited with status 3".into()), waiting: 2, ..Seen::default() };
    let long = seen(&[("a", &"x".repeat(1_000), Some(End::Reset))]);
    let text = timeline("open a\n", vec![[ended, long]], Verdict::Different).to_string();
    assert!(text.contains("original  connections that no step has accepted: 2\n"), "{text}");
    assert!(text.contains("original  the program exited with status 3\n"), "{text}");
    assert!(text.contains("(1000 bytes), reset\n"), "{text}");
}

#[test]
fn only_after_concurrent_actions_the_order_of_lines_does_not_count() {
    let (one, other) = (seen(&[("c", "<a> 1\n<b> 2\n", None)]), seen(&[("c", "<b> 2\n<a> 1\n", None)]));
    assert!(one.is_like(&other, true));
    assert!(!one.is_like(&other, false));
    assert!(!one.is_like(&seen(&[("c", "<a> 1\n", None)]), true));
    assert!(!one.is_like(&seen(&[("c", "<a> 1\n<b> 2\n", Some(End::Stream))]), true));
}
