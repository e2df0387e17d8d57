//! Scripts that are played against real programs.

use torsade::prelude::*;

use crate::checking::{of_ports, played};
use crate::port_checker::check::Check;
use crate::port_checker::script::Script;
use crate::port_checker::timeline::{Timeline, Verdict};
use crate::programs::port;
use crate::support;

fn play(original: &str, port: &str, script: &str) -> Timeline {
    played(of_ports(original, port), script).0
}

#[test]
fn two_that_are_the_same_are_the_same_in_every_step() {
    let script = include_str!("../../examples/ports/chat/script");
    let timeline = play(&port("chat", None), &port("chat", None), script);
    assert_eq!(timeline.verdict, Verdict::Same, "{timeline}");
    assert_eq!(timeline.rounds.len(), Script::parse(script).unwrap().steps.len());
}

#[test]
fn two_that_differ_are_played_up_to_the_difference() {
    let script = "open a\nsend a \"anna\\r\\n\"\nopen b\nsend b \"ben\\r\\n\"\nclose a\nclose b\n";
    let timeline = play(&port("chat", None), &port("chat_server", None), script);
    assert!(timeline.is_different(), "{timeline}");
    let text = timeline.to_string();
    assert!(text.ends_with("  4  send b \"ben\\r\\n\"        <-- here they differ\n       both      b: \"Welcome, ben!\\r\\n\"\n       original  a: \"ben has come.\\r\\n\"\n       port      nothing\nthe first difference is in step 4\n"), "{text}");
}

#[test]
fn a_script_that_expects_what_neither_does_is_reported() {
    let timeline = play(&port("chat", None), &port("chat", None), "open a\nexpect a \"What is\"\n");
    assert_eq!(timeline.verdict, Verdict::Unmet("on a \" is\" was still expected, but \"'s your name?\\r\\n\" arrived".into()));
}

#[test]
fn resets_pauses_half_closed_streams_and_concurrent_steps_are_played() {
    let script = "open a\nopen b\nopen c\nsend a \"anna\\r\\n\"\nsend b \"ben\\r\\n\"\nsend c \"cleo\\r\\n\"\npause c\n\
                  send a \"from a\\r\\n\"\n& send b \"from b\\r\\n\"\nresume c\nreset a\nend b\nwait 5ms\nclose c\n";
    let timeline = play(&port("chat", None), &port("chat", None), script);
    assert_eq!(timeline.verdict, Verdict::Same, "{timeline}");
    let text = timeline.to_string();
    assert!(text.contains("both      c: \"anna has left.\\r\\n\"\n"), "{text}");
    assert!(text.contains("both      b: end of stream\n"), "{text}");
}

#[test]
fn clients_are_accepted_and_how_they_end_is_seen() {
    let (client, end) = (port("questions", None), "the program exited with status");
    let script = "accept a\nexpect a \"Who are you?\\r\\n\"\nsend a \"anna\\r\\n\"\nsend a \"enough\\r\\n\"\nclose a\nended\n";
    let timeline = play(&client, &client, script);
    assert_eq!(timeline.verdict, Verdict::Same, "{timeline}");
    let text = timeline.to_string();
    assert!(text.contains("a: \"anna, what is 1?\\r\\n\"") && text.contains(&format!("{end} 0")), "{text}");
    let text = play(&client, &client, "accept a\nreset a\nended\n").to_string();
    assert!(text.contains(&format!("{end} 1")), "{text}");
}

#[test]
fn a_connection_that_does_not_arrive_is_reported() {
    let timeline = play(&port("questions", None), &port("questions", None), "accept a\naccept b\n");
    assert_eq!(timeline.verdict, Verdict::Unmet("no connection came for b".into()));
}

#[test]
fn neither_side_of_a_relay_has_to_read_before_what_it_sends_is_relayed() {
    let timeline = play(&port("relay", None), &port("relay", None), include_str!("../../examples/ports/relay/script"));
    assert_eq!(timeline.verdict, Verdict::Same, "{timeline}");
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use crate::guests::House;

    #[test]
    fn what_comes_over_tls_is_seen_decrypted_and_who_is_refused_by_its_alert() {
        let house = House::new();
        let script = house.with_keys(include_str!("../../examples/ports/guests/script"));
        let timeline = play(&house.port(None), &house.port(None), &script);
        assert_eq!(timeline.verdict, Verdict::Same, "{timeline}");
        let text = timeline.to_string();
        for told in [
            "client: \"error: client.test is not invited\\r\\n\", end of stream\n",
            "nobody: alert 116 (CertificateRequired)\n",
            "stranger: alert 48 (UnknownCA)\n",
            "again: \"Good bye.\\r\\n\", end of stream\n",
        ] {
            assert!(text.contains(told), "{told}{text}");
        }
    }

    #[test]
    fn an_endpoint_that_is_wrong_is_reported() {
        let house = House::new();
        for (endpoint, wrong) in [
            ("tls:{listen}:trustRoots=keys:certificate=keys/no.pem", "no.pem"),
            ("tls:{listen}:trustRoots=stranger", "its certificate is not accepted"),
            ("tsl:{listen}", "tsl"),
        ] {
            let script = house.with_keys(&format!("place 1 {endpoint}\nopen a\n"));
            let timeline = play(&house.port(None), &house.port(None), &script);
            let Verdict::Unmet(told) = timeline.verdict else { panic!("{timeline}") };
            assert!(told.starts_with("a is not connected: ") && told.contains(wrong), "{told}");
        }
    }
}

#[test]
fn a_place_that_the_programs_do_not_have_is_reported() {
    let timeline = play(&port("chat", None), &port("chat", None), "open a 2\n");
    let Verdict::Unmet(told) = timeline.verdict else { panic!("{timeline}") };
    assert!(told.starts_with("a is not connected: ") && told.contains("{listen2}"), "{told}");
}

#[test]
fn a_program_that_does_not_start_is_reported_with_what_it_printed() {
    let reactor = Reactor::new().unwrap();
    let check = Check::new("sh -c 'echo no such port: {listen} >&2; exit 7'", &port("chat", None)).unwrap();
    let played = reactor.clone();
    let told = support::run_until(&reactor, async move { check.play(&played, &Script::default()).await.map(drop) });
    let told = told.unwrap_err().to_string();
    assert!(told.contains("the original exited with status 7") && told.contains("no such port: 127.0.0.1:"), "{told}");
}
