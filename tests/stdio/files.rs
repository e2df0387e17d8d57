//! Files, devices that are always ready, and descriptors that are not open.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;

use crate::program::*;
use crate::support::*;

/// A file for each test, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, content: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("torsade-{}-{}", std::process::id(), name.replace("::", "-")));
        fs::write(&path, content).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

#[test]
fn a_file_is_copied_to_a_file_byte_by_byte() {
    const NAME: &str = "files::a_file_is_copied_to_a_file_byte_by_byte";
    if is_child(NAME) {
        return parrot(false);
    }
    let sent = pattern(0, 5 << 20);
    let (from, to) = (Scratch::new(&format!("{NAME}-from"), &sent), Scratch::new(&format!("{NAME}-to"), b""));
    let program = Program::run(NAME, File::open(&from.0).unwrap(), File::create(&to.0).unwrap());
    assert_eq!(program.told(), ["made", "input ended", "lost: ConnectionDone"]);
    let got = fs::read(&to.0).unwrap();
    let rest = after_begin(&got).strip_prefix(&sent[..]).expect("the same bytes");
    // A file cannot be half-closed, so what the program prints afterwards still goes there.
    assert!(rest.starts_with(b"[end]"), "{}", rest.escape_ascii());
}

#[test]
fn a_full_disk_loses_the_connection_and_says_why() {
    const NAME: &str = "files::a_full_disk_loses_the_connection_and_says_why";
    let Ok(full) = File::options().write(true).open("/dev/full") else { return println!("skipped: there is no /dev/full") };
    if is_child(NAME) {
        rustix::stdio::dup2_stdout(full).unwrap();
        return parrot(true);
    }
    let told = Program::run(NAME, Stdio::piped(), Stdio::null()).told();
    assert!(told.last().unwrap().contains("No space left on device"), "{told:?}");
}

#[test]
fn what_was_closed_or_is_always_empty_has_ended() {
    const NAME: &str = "files::what_was_closed_or_is_always_empty_has_ended";
    if is_child(NAME) {
        return parrot(false);
    }
    for redirection in ["< /dev/null", "<&-", "< /dev/null > /dev/null", "<&- >&-"] {
        let program = Program::run_in_shell(NAME, &format!("\"$@\" {redirection}"));
        assert_eq!(program.told(), ["made", "input ended", "lost: ConnectionDone"], "{redirection}");
    }
}

#[test]
fn a_directory_is_an_error_and_not_an_empty_file() {
    const NAME: &str = "files::a_directory_is_an_error_and_not_an_empty_file";
    if is_child(NAME) {
        return parrot(false);
    }
    let program = Program::run(NAME, File::open(std::env::temp_dir()).unwrap(), Stdio::piped());
    let told = program.told();
    assert!(told.last().unwrap().contains("Is a directory"), "{told:?}");
}
