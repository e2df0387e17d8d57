//! A test in its own process: its binary once more, as a child that runs only this test.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Output, Stdio};

/// Runs the test `name` in a child, where [`is_child`] holds. Its output is piped.
pub fn child(name: &str) -> Command {
    only(name, Command::new(this_binary()))
}

/// The same with the test's output captured, so that the test can replace standard output.
pub fn capturing_child(name: &str) -> Command {
    let mut binary = Command::new(this_binary());
    binary.args([name, "--exact", "--test-threads=1"]).env("CHILD_OF", name);
    binary
}

/// The same with at most this many open descriptors.
pub fn child_with_descriptors(name: &str, descriptors: u32) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"")]).arg(this_binary());
    only(name, shell)
}

/// The same in a network of its own, where the shell has run `set_up` first (Linux, if permitted), and these of its IPv6
/// addresses can be used: the system adds them a little later.
pub fn child_in_own_network(name: &str, set_up: &str, addresses: &[&str]) -> Command {
    let usable = |address: &&str| format!("until ip -6 route show table local | grep -q 'local {address} '; do :; done && ");
    let usable: String = addresses.iter().map(usable).collect();
    let set_up = format!("ip link set lo up && {set_up} && {usable} exec \"$0\" \"$@\"");
    let mut unshare = Command::new("unshare");
    unshare.args(["--net", "--mount", "--map-root-user", "sh", "-c", &set_up]).arg(this_binary());
    only(name, unshare)
}

fn this_binary() -> std::path::PathBuf {
    std::env::current_exe().expect("a test binary")
}

fn only(name: &str, mut binary: Command) -> Command {
    binary.args([name, "--exact", "--nocapture", "--test-threads=1"]).env("CHILD_OF", name).stdout(Stdio::piped());
    binary
}

/// Returns whether this process is the child of the test `name`.
pub fn is_child(name: &str) -> bool {
    std::env::var("CHILD_OF").is_ok_and(|test| test == name)
}

/// The lines a child prints. Its own begin after a line break, since the test's name comes before the first.
pub fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok)
}

/// Reads up to the line that says where a child listens.
pub fn listening(lines: &mut impl Iterator<Item = String>) -> SocketAddr {
    lines.find_map(|line| line.strip_prefix("listening on ")?.parse().ok()).expect("the child listens")
}

/// The output of a program that is given `input` and its end; an error if it is not installed.
pub fn output_of(command: &mut Command, input: &[u8]) -> std::io::Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (mut stdin, input) = (child.stdin.take().expect("it is piped"), input.to_vec());
    // A program may print before it has read everything, and one that exits before that prints why.
    let typing = std::thread::spawn(move || stdin.write_all(&input).ok());
    let output = child.wait_with_output();
    typing.join().expect("it ends with the program");
    output
}

/// Sends a signal to a child. If there is no `kill`, kills the child and prints that the test is skipped.
pub fn signal(child: &mut Child, signal: &str) -> bool {
    let sent = signal_to(child.id(), signal);
    if !sent {
        child.kill().expect("it runs");
        child.wait().expect("it has ended");
        println!("skipped: there is no kill command");
    }
    sent
}

/// Sends a signal to a process with the command `kill`, and waits until it was delivered, if the system shows that (Linux does):
/// two pending ones are merged. Returns false if there is no such command.
pub fn signal_to(process: u32, signal: &str) -> bool {
    let sent = Command::new("kill").args([signal, &process.to_string()]).status().is_ok_and(|status| status.success());
    while sent && is_pending(process) {
        std::thread::yield_now();
    }
    sent
}

fn is_pending(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    // A process that has ended keeps its last signal pending until its status is collected.
    if status.lines().any(|line| line.starts_with("State:") && line.contains("zombie")) {
        return false;
    }
    status.lines().filter_map(|line| line.strip_prefix("ShdPnd:")).any(|mask| mask.trim().bytes().any(|digit| digit != b'0'))
}
