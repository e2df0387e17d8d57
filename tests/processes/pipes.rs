//! Pipes carry everything, and a process that does not read or write holds little memory.

use std::cell::Cell;
use std::io::Read;
use std::rc::Rc;

use torsade::prelude::*;
use torsade::{ChildDescriptor, ProcessEnd};

use crate::support::{child, is_child, lines};
use crate::watcher::{Told, Watcher, run, sh};

/// How much is sent through a pipeline.
const SIZE: u64 = 100 << 20;

/// A long sequence without repeats, in which a lost or duplicated byte is noticed.
#[derive(Clone, Default)]
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u8 {
        self.0 += 1;
        (self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
    }
}

impl Read for Numbers {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        buffer.iter_mut().for_each(|byte| *byte = self.next());
        Ok(buffer.len())
    }
}

/// Sends numbers, and compares what comes back.
struct Comparing {
    expected: Numbers,
    count: Rc<Cell<u64>>,
}

impl ProcessProtocol for Comparing {
    fn connection_made(&mut self, process: &Process) -> Result {
        let stdin = process.stream(0).unwrap();
        FileSender::new(Numbers::default().take(SIZE)).begin_file_transfer(&stdin, |transport, sent| {
            sent?;
            transport.lose_connection();
            Ok(())
        })?;
        Ok(())
    }

    fn out_received(&mut self, _: &Process, data: &[u8]) -> Result {
        self.count.set(self.count.get() + data.len() as u64);
        assert!(data.iter().all(|byte| *byte == self.expected.next()), "different bytes came back");
        Ok(())
    }

    fn process_ended(&mut self, process: &Process, end: ProcessEnd) -> Result {
        assert!(end.is_success(), "{end}");
        Ok(process.reactor().stop()?)
    }
}

#[test]
fn a_pipeline_of_100_mb_gives_back_every_byte_in_bounded_memory() {
    const NAME: &str = "pipes::a_pipeline_of_100_mb_gives_back_every_byte_in_bounded_memory";
    if is_child(NAME) {
        let reactor = Reactor::new().unwrap();
        let before = memory();
        let count = Rc::new(Cell::new(0));
        let comparing = Comparing { expected: Numbers::default(), count: Rc::clone(&count) };
        reactor.spawn_process(comparing, sh("cat | dd bs=7k 2>/dev/null | gzip -1 | gunzip | cat")).unwrap();
        reactor.run().unwrap();
        println!("\ncame back: {}", count.get());
        println!("\ngrown by: {}", memory().saturating_sub(before));
        return;
    }
    let mut child = child(NAME).spawn().unwrap();
    let lines: Vec<_> = lines(&mut child).collect();
    assert!(child.wait().unwrap().success(), "{lines:?}");
    let number = |head: &str| lines.iter().find_map(|line| line.strip_prefix(head)?.parse::<u64>().ok());
    assert_eq!(number("came back: "), Some(SIZE), "{lines:?}");
    if cfg!(target_os = "linux") {
        // A read buffer, the output of one connection, and the allocator's overhead.
        assert!(number("grown by: ").is_some_and(|kilobytes| kilobytes < 4 << 10), "{lines:?}");
    }
}

/// The largest resident memory of this process so far, in kilobytes; 0 where the system does not report it.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

#[test]
fn yes_into_head_ends_by_itself() {
    let told = run(sh("yes | head -n 3"), |_, _| Ok(()));
    assert_eq!(told.data(1), "y\ny\ny\n");
    assert_eq!(told.all().last().map(String::as_str), Some("all exited with status 0"));
}

#[test]
fn a_program_whose_output_we_close_gets_sigpipe() {
    let told = run(Command::new("yes"), |process, entry| {
        if entry.starts_with("data 1") {
            process.close_stdout();
        }
        Ok(())
    });
    assert_eq!(told.all().last().map(String::as_str), Some("all killed by SIGPIPE"));
}

#[test]
fn a_program_whose_output_is_not_wanted_waits() {
    let told = Told::default();
    let (seen, paused) = (told.clone(), Rc::new(Cell::new(false)));
    let endless = Watcher::new(&told, move |process, entry| {
        if entry.starts_with("data 1") && !paused.replace(true) {
            process.stream(1).unwrap().pause_producing();
            look_later(process.clone(), seen.clone(), 100);
        }
        Ok(())
    });
    let reactor = Reactor::new().unwrap();
    reactor.spawn_process(endless, Command::new("yes")).unwrap();
    reactor.run().unwrap();
    assert_eq!(told.count("nothing came"), 1, "it was checked");
}

/// After this many turns checks that nothing has come since the first data, then kills the program.
fn look_later(process: Process, told: Told, turns: u32) {
    let reactor = process.reactor().clone();
    reactor.call_later(std::time::Duration::ZERO, move || {
        if turns > 0 {
            return look_later(process, told, turns - 1);
        }
        let pieces = told.all().iter().filter(|entry| entry.starts_with("data")).count();
        assert_eq!(pieces, 1);
        told.note("nothing came");
        process.signal_process(torsade::ProcessSignal::KILL).unwrap();
        // Its end is reported all the same.
        process.lose_connection();
    });
}

#[test]
fn a_program_that_does_not_read_is_not_written_to_without_limit() {
    // The limit of a connection: exceeding it closes the pipe, and memory stays bounded.
    let told = run(sh("read line; exit 3"), |process, entry| {
        match entry {
            "made" => (0..17).for_each(|_| process.write(vec![b'x'; 1 << 20])),
            "lost 0" => assert_eq!(process.end(), None),
            _ => {}
        }
        Ok(())
    });
    assert_eq!(told.count("lost 0"), 1);
    assert_eq!(told.all().last().map(String::as_str), Some("all exited with status 3"));
}

#[test]
fn further_descriptors_are_pipes_each_way() {
    let command = sh("cat <&4 >&3; echo done >&7")
        .descriptor(3, ChildDescriptor::PipeFromChild)
        .descriptor(4, ChildDescriptor::PipeToChild)
        .descriptor(7, ChildDescriptor::PipeFromChild);
    let told = run(command, |process, entry| {
        if entry == "made" {
            process.write_to_child(4, "by way of 4 and 3");
            process.close_child(4);
        }
        Ok(())
    });
    assert_eq!((told.data(3).as_str(), told.data(7).as_str()), ("by way of 4 and 3", "done\n"));
    for lost in ["lost 0", "lost 1", "lost 2", "lost 3", "lost 4", "lost 7"] {
        assert_eq!(told.count(lost), 1, "{lost}");
    }
}

#[test]
fn standard_error_can_be_the_same_as_standard_output() {
    let told = run(sh("echo one; echo two >&2; echo three").stderr(ChildDescriptor::SameAs(1)), |_, _| Ok(()));
    assert_eq!(told.data(1), "one\ntwo\nthree\n");
    assert_eq!(told.count("lost 2"), 0);
}

#[test]
fn a_descriptor_can_be_a_file_of_ours_or_nothing_at_all() {
    let (reader, writer) = std::io::pipe().unwrap();
    let command = Command::new("cat").stdin(ChildDescriptor::Null).stdout(ChildDescriptor::Given(Rc::new(writer.into())));
    let told = run(command, |_, _| Ok(()));
    assert_eq!(told.all().last().map(String::as_str), Some("all exited with status 0"));
    assert_eq!((told.count("lost 0"), told.count("lost 1"), told.count("lost 2")), (0, 0, 1));
    let mut rest = String::new();
    { reader }.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "our copy of the writing end went with the command");
}

#[test]
fn a_program_has_the_arguments_the_environment_and_the_directory_that_it_was_given() {
    let script = "echo \"$1,$2,$GIVEN,$LEFT_OUT,$(pwd)\"";
    let command = Command::new("/bin/sh").args(["-c", script, "sh", "one", "two words"]).current_dir("/");
    let told = run(command.env("GIVEN", "here").env("LEFT_OUT", "x").env_remove("LEFT_OUT"), |_, _| Ok(()));
    assert_eq!(told.data(1), "one,two words,here,,/\n");
    let told = run(Command::new("/usr/bin/env").env_clear().env("ONLY", "this"), |_, _| Ok(()));
    assert_eq!(told.data(1), "ONLY=this\n");
}

#[test]
fn compression_works_on_a_pipe_as_on_every_connection() {
    let told = run(sh("gunzip"), |process, entry| {
        if entry == "made" {
            let stdin = process.stream(0).unwrap();
            stdin.set_compression("gzip")?;
            stdin.write("compressed on its way to the program");
            stdin.lose_connection();
        }
        Ok(())
    });
    assert_eq!(told.data(1), "compressed on its way to the program");
}
