//! Terminals: the program has a pseudo-terminal, and the test its other end.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use rustix::time::Timespec;

use crate::program::*;
use crate::support::*;

/// The terminal emulator's end: what is typed goes in, what is displayed comes out.
struct Window {
    side: File,
    shown: Vec<u8>,
}

impl Window {
    /// Opens one with its terminal, of which the test keeps a copy as a shell does.
    fn open() -> (Self, OwnedFd) {
        let side = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pseudo-terminal");
        grantpt(&side).expect("ours");
        unlockpt(&side).expect("ours");
        let path = ptsname(&side, Vec::new()).expect("it has a name");
        let terminal = rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).expect("ours");
        (Self { side: File::from(side), shown: Vec::new() }, terminal)
    }

    fn type_in(&mut self, text: &str) {
        self.side.write_all(text.as_bytes()).expect("the window is open");
    }

    /// Waits until it displays `text`, and discards everything up to there.
    fn shows(&mut self, text: &str) {
        loop {
            if let Some(place) = self.shown.windows(text.len()).position(|window| window == text.as_bytes()) {
                self.shown.drain(..place + text.len());
                return;
            }
            let mut ready = [PollFd::from_borrowed_fd(self.side.as_fd(), PollFlags::IN)];
            let limit = Timespec { tv_sec: LIMIT.as_secs() as i64, tv_nsec: 0 };
            let count = poll(&mut ready, Some(&limit)).expect("it can be awaited");
            let mut buffer = [0; 4096];
            let read = if count > 0 { self.side.read(&mut buffer).unwrap_or(0) } else { 0 };
            assert!(read > 0, "{text:?} is not shown: {}", self.shown.escape_ascii());
            self.shown.extend_from_slice(&buffer[..read]);
        }
    }
}

/// Runs the child of the test `name` on a terminal that is its controlling one, so that Ctrl-C reaches it. `None` if the command
/// for that is missing.
fn run_in_session(name: &str, terminal: &OwnedFd) -> Option<Program> {
    if Command::new("setsid").arg("--version").output().is_err() {
        println!("skipped: there is no setsid command");
        return None;
    }
    let program = child(name);
    let mut session = Command::new("setsid");
    session.args(["--ctty", "--wait"]).arg(program.get_program()).args(program.get_args()).env("CHILD_OF", name);
    Some(Program::spawn(session.stdin(copy(terminal)).stdout(copy(terminal))))
}

#[test]
fn the_terminal_is_blocking_for_the_shell_while_the_program_runs_and_however_it_ends() {
    const NAME: &str = "terminals::the_terminal_is_blocking_for_the_shell_while_the_program_runs_and_however_it_ends";
    if is_child(NAME) {
        return parrot(false);
    }
    for end in ["exit", "panic", "Ctrl-C", "SIGKILL"] {
        let (mut window, terminal) = Window::open();
        let Some(mut program) = run_in_session(NAME, &terminal) else { return };
        program.tells("made");
        window.shows("[begin]");
        assert!(is_blocking(&terminal), "while it runs");
        match end {
            "exit" => window.type_in("\x04"),
            "panic" => window.type_in("die\n"),
            "Ctrl-C" => window.type_in("\x03"),
            _ => program.child.kill().unwrap(),
        }
        let told = program.told();
        assert!(is_blocking(&terminal), "after {end}");
        match end {
            "exit" => assert_eq!(told, ["input ended", "lost: ConnectionDone"]),
            "Ctrl-C" => assert_eq!(told, ["lost: ShuttingDown"]),
            _ => assert_eq!(told, [] as [&str; 0]),
        }
    }
}

#[test]
fn a_terminal_gives_a_line_at_a_time_and_ends_with_ctrl_d() {
    const NAME: &str = "terminals::a_terminal_gives_a_line_at_a_time_and_ends_with_ctrl_d";
    if is_child(NAME) {
        return parrot(false);
    }
    let (mut window, terminal) = Window::open();
    let mut program = Program::run(NAME, copy(&terminal), copy(&terminal));
    program.tells("made");
    window.type_in("one\ntwo\nthr");
    window.shows("<one>");
    window.shows("<two>");
    window.type_in("ee\n\x04");
    window.shows("<three>");
    window.shows("[end]");
    assert_eq!(program.told(), ["read one\\n", "read two\\n", "read three\\n", "input ended", "lost: ConnectionDone"]);
}

#[test]
fn a_window_that_is_closed_ends_the_input() {
    const NAME: &str = "terminals::a_window_that_is_closed_ends_the_input";
    if is_child(NAME) {
        return parrot(false);
    }
    let (window, terminal) = Window::open();
    let mut program = Program::run(NAME, copy(&terminal), Stdio::null());
    program.tells("made");
    drop(window);
    assert_eq!(program.told(), ["input ended", "lost: ConnectionDone"]);
}

#[test]
fn what_cannot_be_reopened_is_left_to_threads() {
    const NAME: &str = "terminals::what_cannot_be_reopened_is_left_to_threads";
    if is_child(NAME) {
        return parrot(false);
    }
    // The emulator's end: opening it again would create another terminal.
    let (window, terminal) = Window::open();
    let mut attributes = tcgetattr(&terminal).unwrap();
    // Otherwise it would echo what the program writes, as if it were typed.
    attributes.make_raw();
    tcsetattr(&terminal, OptionalActions::Now, &attributes).unwrap();
    let mut program = Program::run(NAME, copy(&window.side), copy(&window.side));
    program.tells("made");
    let mut terminal = File::from(terminal);
    terminal.write_all(b"hello\n").unwrap();
    program.tells("read hello\\n");
    assert!(is_blocking(&window.side));
    terminal.write_all(b"bye\n").unwrap();
    program.tells("read bye\\n");
    drop(terminal);
    drop(window);
    assert_eq!(program.told(), ["input ended", "lost: ConnectionDone"]);
}

#[test]
fn without_proc_pipes_and_terminals_are_left_to_threads() {
    const NAME: &str = "terminals::without_proc_pipes_and_terminals_are_left_to_threads";
    if is_child(NAME) {
        return parrot(false);
    }
    let hidden = |name: &str| {
        let program = child(name);
        let mut command = Command::new("unshare");
        let script = "mount -t tmpfs none /proc && exec \"$0\" \"$@\"";
        command.args(["--mount", "--map-root-user", "sh", "-c", script]).arg(program.get_program()).args(program.get_args());
        command.env("CHILD_OF", name);
        command
    };
    let mut probe = Command::new("unshare");
    let allowed = probe.args(["--mount", "--map-root-user", "mount", "-t", "tmpfs", "none", "/proc"]).status();
    if !allowed.is_ok_and(|status| status.success()) {
        return println!("skipped: /proc cannot be hidden here");
    }
    let (mut window, terminal) = Window::open();
    let mut program = Program::spawn(hidden(NAME).stdin(copy(&terminal)).stdout(copy(&terminal)));
    program.tells("made");
    window.type_in("one\n");
    window.shows("<one>");
    assert!(is_blocking(&terminal));
    window.type_in("\x04");
    assert_eq!(program.told()[1..], ["input ended", "lost: ConnectionDone"]);

    let ((input, writer), (reader, output)) = (pipe(), pipe());
    let shared = copy(&output);
    let mut program = Program::spawn(hidden(NAME).stdin(input).stdout(output));
    program.tells("made");
    assert!(is_blocking(&shared));
    drop(shared);
    let sent = pattern(0, 300_000);
    let sending = std::thread::spawn({
        let sent = sent.clone();
        move || write_all(writer, &sent)
    });
    let got = read_to_end(reader);
    sending.join().unwrap();
    assert!(got == [&sent[..], b"[end]"].concat(), "{} bytes", got.len());
    assert_eq!(program.told(), ["input ended", "lost: ConnectionDone"]);
}
