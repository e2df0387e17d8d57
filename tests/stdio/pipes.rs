//! Pipes as input and output.

use std::process::Stdio;

use crate::program::*;
use crate::support::*;

#[test]
fn a_pipe_is_read_to_its_end_and_everything_is_answered() {
    const NAME: &str = "pipes::a_pipe_is_read_to_its_end_and_everything_is_answered";
    if is_child(NAME) {
        return parrot(false);
    }
    let ((input, writer), (reader, output)) = (pipe(), pipe());
    let shared = [copy(&input), copy(&output)];
    let mut program = Program::run(NAME, input, output);
    program.tells("made");
    assert!(shared.iter().all(is_blocking), "while the program runs");
    let sent = pattern(0, 3 << 20);
    let sending = std::thread::spawn({
        let sent = sent.clone();
        move || write_all(writer, &sent)
    });
    let [_, output] = shared;
    let output_still_blocks = move || is_blocking(&output);
    assert!(output_still_blocks());
    drop(output_still_blocks);
    let got = read_to_end(reader);
    sending.join().unwrap();
    assert!(got == [&sent[..], b"[end]"].concat(), "{} bytes", got.len());
    assert_eq!(program.told(), ["input ended", "lost: ConnectionDone"]);
}

#[test]
fn a_pipe_whose_writer_has_gone_before_the_program_begins_has_an_end() {
    const NAME: &str = "pipes::a_pipe_whose_writer_has_gone_before_the_program_begins_has_an_end";
    if is_child(NAME) {
        return parrot(false);
    }
    for text in ["", "hello\n"] {
        let ((input, writer), (reader, output)) = (pipe(), pipe());
        write_all(writer, text.as_bytes());
        let program = Program::run(NAME, input, output);
        let expected = if text.is_empty() { "[end]" } else { "<hello>[end]" };
        assert_eq!(read_to_end(reader).escape_ascii().to_string(), expected);
        assert_eq!(program.told().last().unwrap(), "lost: ConnectionDone");
    }
}

#[test]
fn a_half_close_lets_the_reader_see_the_end_while_the_program_goes_on() {
    const NAME: &str = "pipes::a_half_close_lets_the_reader_see_the_end_while_the_program_goes_on";
    if is_child(NAME) {
        return parrot(true);
    }
    let ((input, writer), (reader, output)) = (pipe(), pipe());
    let mut program = Program::run(NAME, input, output);
    write_all(copy(&writer), b"half\n");
    assert_eq!(read_to_end(reader), b"");
    program.tells("output ended");
    write_all(writer, b"still there\n");
    assert_eq!(program.told(), ["read still there\\n", "input ended", "lost: ConnectionDone"]);
}

#[test]
fn output_that_nobody_reads_any_more_ends_a_program_that_only_listens() {
    const NAME: &str = "pipes::output_that_nobody_reads_any_more_ends_a_program_that_only_listens";
    if is_child(NAME) {
        return parrot(true);
    }
    let ((input, writer), (reader, output)) = (pipe(), pipe());
    let mut program = Program::run(NAME, input, output);
    program.tells("made");
    drop(reader);
    let told = program.told();
    assert!(told.last().unwrap().starts_with("lost: ") && told.len() == 1, "{told:?}");
    assert!(told[0].contains("roken pipe"), "{told:?}");
    drop(writer);
}

#[test]
fn a_reader_that_wants_one_line_ends_the_pipeline() {
    const NAME: &str = "pipes::a_reader_that_wants_one_line_ends_the_pipeline";
    if is_child(NAME) {
        return parrot(false);
    }
    let program = Program::run_in_shell(NAME, "yes | \"$@\" | sed '/begin/q' > /dev/null");
    assert!(program.told().last().unwrap().starts_with("lost: "));
}

#[test]
fn abort_ends_the_output_too() {
    const NAME: &str = "pipes::abort_ends_the_output_too";
    if is_child(NAME) {
        return parrot(true);
    }
    let ((input, writer), (reader, output)) = (pipe(), pipe());
    let program = Program::run(NAME, input, output);
    write_all(copy(&writer), b"abort\n");
    assert_eq!(read_to_end(reader), b"");
    assert_eq!(program.told().last().unwrap(), "lost: ConnectionAborted");
    drop(writer);
}

#[test]
fn there_is_one_connection_of_standard_input_and_output_at_a_time() {
    const NAME: &str = "pipes::there_is_one_connection_of_standard_input_and_output_at_a_time";
    use torsade::prelude::*;
    if is_child(NAME) {
        let reactor = Reactor::new().unwrap();
        let events = Events::default();
        let again = reactor.clone();
        let second = move |event: &Event, transport: &Transport| {
            match event {
                Event::Made => {
                    let refused = again.standard_io(Echo).unwrap_err();
                    eprintln!("parrot: {refused}");
                    transport.lose_connection();
                }
                Event::Lost(_) => {
                    let stopper = again.clone();
                    again.standard_io(Probe::new(&Events::default(), move |event, transport| {
                        match event {
                            Event::Made => {
                                eprintln!("parrot: made again");
                                transport.lose_connection();
                            }
                            Event::Lost(_) => stop(&stopper),
                            _ => {}
                        }
                        Ok(())
                    }))?;
                }
                _ => {}
            }
            Ok(())
        };
        reactor.standard_io(Probe::new(&events, second)).unwrap();
        return run(&reactor);
    }
    let told = Program::run(NAME, Stdio::piped(), Stdio::piped()).told();
    assert!(told[0].contains("already has a connection over its standard input and output"), "{told:?}");
    assert_eq!(told[1..], ["made again"]);
}
