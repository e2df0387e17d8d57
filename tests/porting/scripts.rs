//! How scripts and grammars are read and written.

use crate::port_checker::action::Action;
use crate::port_checker::bytes::{quoted, unquote};
use crate::port_checker::command_text::CommandText;
use crate::port_checker::grammar::{Grammar, Piece, What};
use crate::port_checker::random::random_script;
use crate::port_checker::script::Script;

const EVERYTHING: &str = "place 2 tls:{listen}:certificate=a b.pem
open a
open b 2
send a \"one\\r\\n\\x00\\xff\\\"\\\\\"
& send b \"two\"
expect a \"one\"
pause a
resume a
wait 20ms
end a
accept c
accept d 2
close b
reset c
ended
";

#[test]
fn a_script_is_written_as_it_is_read() {
    let script = Script::parse(EVERYTHING).unwrap();
    assert_eq!(script.steps.len(), 13);
    assert_eq!(script.steps[2].0.len(), 2);
    assert_eq!(Script::parse(&script.to_string()).unwrap(), script);
    // A NUL is written shorter than it was read.
    assert_eq!(script.to_string(), EVERYTHING.replace("\\x00", "\\0"));
}

#[test]
fn comments_and_empty_lines_are_no_steps() {
    let script = Script::parse("# who comes\n\n  open a\n  send a \"x\" # and says x\n").unwrap();
    assert_eq!(script.to_string(), "open a\nsend a \"x\"\n");
}

#[test]
fn every_byte_survives_its_quotes() {
    let all: Vec<u8> = (0..=255).collect();
    assert_eq!(unquote(&quoted(&all)).unwrap(), (all, ""));
    assert_eq!(unquote("\"ab\"*3 rest").unwrap(), (b"ababab".to_vec(), " rest"));
    let long = Script::parse("open a\nsend a \"a line\\r\\n\"*400000\n").unwrap();
    assert_eq!(long.to_string(), "open a\nsend a \"a line\\r\\n\"*400000\n");
}

#[test]
fn what_is_wrong_in_a_script_is_named_with_its_line() {
    for (script, error) in [
        ("open a\nsnd a \"x\"", "line 2: \"snd\" is not one of place, open"),
        ("open a\nsend a x", "line 2: bytes stand in double quotes"),
        ("open a\nsend a \"x", "line 2: the closing quote is missing"),
        ("open a\nsend a \"\\q\"", "line 2: there is no escape \\q"),
        ("open a\nsend a \"x\"*99999999999", "line 2: a step sends at most"),
        ("open a 0", "line 1: \"0\" is not the number of a place"),
        ("place 2 tls:localhost:1", "line 1: the endpoint \"tls:localhost:1\" leads to neither program"),
        ("place two tcp:{listen}", "line 1: \"two\" is not the number of a place"),
        ("& open a", "line 1: & joins it to the previous line"),
        ("wait long", "line 1: \"long\" is no time"),
        ("open a\nclose a now", "line 2: what is \"now\" for?"),
        ("open", "line 1: \"open\" wants the name of a connection"),
        ("send a \"x\"", "not possible here: send a"),
        ("open a\n& send a \"x\"", "not possible here: open a; & send a"),
        ("open a\nend a\nsend a \"x\"", "not possible here: send a"),
        ("open a\nclose a\nopen a", "not possible here: open a"),
    ] {
        let told = Script::parse(script).unwrap_err();
        assert!(told.starts_with(error), "{script}: {told}");
    }
}

#[test]
fn a_command_has_its_addresses_in_their_places() {
    let text = CommandText::parse("DEBUG=1 TO={peer} prog 'two words' --at={listen} {listen2}").unwrap();
    assert_eq!((text.listens, text.peers), (2, 1));
    let command = text.command(&["h:1".into(), "h:2".into()], &["h:3".into()]);
    assert_eq!(command.get_program(), "prog");
    assert_eq!(command.get_args(), ["two words", "--at=h:1", "h:2"]);
    for wrong in ["prog", "A=1", "", "prog '{listen}"] {
        assert!(CommandText::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_grammar_says_what_is_sent() {
    let grammar =
        Grammar::parse("# all of it\nconnections 2\nsteps 3..5\naccept 1\npiece \"x\\r\\n\"\nbytes 1..3 \"ab\"\nweight end 0\n")
            .unwrap();
    assert_eq!((grammar.connections, grammar.steps, grammar.accept, grammar.weights.end), (2, (3, 5), 1, 0));
    assert_eq!(
        grammar.pieces,
        [
            Piece { place: None, what: What::Fixed(b"x\r\n".to_vec()) },
            Piece { place: None, what: What::Drawn(1, 3, b"ab".to_vec()) }
        ]
    );
    for wrong in
        ["", "piece \"\"", "piece x", "steps 5..3\npiece \"x\"", "weight fly 1\npiece \"x\"", "connections 0\npiece \"x\""]
    {
        assert!(Grammar::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_grammar_may_have_several_addresses_peers_and_datagrams() {
    let text = "places 2\npeers 2\nsteps 40\nweight datagram 5\npiece \"x\"\npiece 2 \"two\"\nbytes 1..3 1 \"a\"\n";
    let grammar = Grammar::parse(text).unwrap();
    let script = random_script(&grammar, 1, "");
    let lines = script.to_string();
    assert!(lines.starts_with("accept c1\naccept c2 2\n"), "{lines}");
    assert!(
        lines.contains("datagram \"") && !lines.lines().any(|line| line.starts_with("datagram") && line.contains("two")),
        "{lines}"
    );
    let second: Vec<_> = lines.lines().filter_map(|line| line.strip_prefix("open ")?.strip_suffix(" 2")).collect();
    assert!(!second.is_empty(), "{lines}");
    for line in lines.lines().filter(|line| line.starts_with("send") && line.contains("two")) {
        assert!(second.iter().any(|name| line.starts_with(&format!("send {name} "))), "{line} in\n{lines}");
    }
    for wrong in ["piece 2 \"x\"", "peers 1\npiece 1 \"x\"", "places 0\npiece \"x\"", "piece 0 \"x\""] {
        assert!(Grammar::parse(wrong).is_err(), "{wrong}");
    }
    assert_eq!(Script::parse("datagram 2 \"a\"").unwrap().to_string(), "datagram 2 \"a\"\n");
    assert!(Script::parse("datagram 0 \"a\"").is_err() && Script::parse("datagram a").is_err());
}

#[test]
fn a_script_has_the_endpoints_of_the_places_that_it_opens() {
    let grammar = Grammar::parse("place 2 tls:{listen}:timeout=9\nplace 3 tcp:{listen}\npiece \"x\"").unwrap();
    assert_eq!(grammar.places, 3);
    for seed in 1..=50 {
        let mut script = random_script(&grammar, seed, "");
        for (number, endpoint) in [(2, "tls:{listen}:timeout=9"), (3, "tcp:{listen}")] {
            let opened =
                script.to_string().lines().any(|line| line.starts_with("open ") && line.ends_with(&format!(" {number}")));
            assert_eq!(script.endpoints.get(&number).map(|text| &text[..]), opened.then_some(endpoint), "{script}");
        }
        script.steps.clear();
        script.keep_possible();
        assert_eq!(script.to_string(), "");
    }
}

#[test]
fn random_scripts_are_possible_come_again_and_end_what_they_open() {
    let grammar = Grammar::parse("piece \"x\\r\\n\"\nbytes 1..9 \"ab\"\nweight pause 1\nweight together 2\n").unwrap();
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 1..=300 {
        let script = random_script(&grammar, seed, "s");
        assert_eq!(script, random_script(&grammar, seed, "s"));
        assert_eq!(Script::parse(&script.to_string()).as_ref(), Ok(&script), "{script}");
        assert!(script.left_open().is_empty(), "{script}");
        kinds.extend(
            script.steps.iter().flat_map(|step| &step.0).map(|action| action.to_string().split(' ').next().unwrap().to_owned()),
        );
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["close", "end", "open", "pause", "reset", "resume", "send"]);
    let again = random_script(&Grammar::parse("accept 1 again\nsteps 30\npiece \"x\"").unwrap(), 1, "").to_string();
    assert!(again.matches("accept ").count() > 1 && !again.contains("open "), "{again}");
    let clients = Grammar::parse("accept 2\npiece \"x\"").unwrap();
    let script = random_script(&clients, 1, "");
    assert!(matches!(script.steps[1].0[..], [Action::Accept(..)]), "{script}");
}
