//! The example's `run`: people hear the same with each engine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::broker::{self, is_installed};
use crate::programs::{PROCESS, folder};

/// Returns whether `run` can run here; prints what is missing.
fn can_run() -> bool {
    ["python3", "haproxy"].into_iter().all(|program| {
        let is_there = |place: &&str| Command::new(place).arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
        let can_run = [program, &format!("/usr/sbin/{program}")].iter().any(is_there);
        if !can_run {
            println!("skipped: {program} is not installed");
        }
        can_run
    })
}

/// A chat that is already built, in a directory that is removed on drop.
struct Chat(PathBuf);

impl Chat {
    /// A chat that is this line of shell script.
    fn of(name: &str, line: &str) -> Self {
        let chat = Self(std::env::temp_dir().join(format!("torsade-chat-{name}-{}", std::process::id())));
        fs::create_dir(&chat.0).unwrap();
        fs::write(chat.program(), format!("#!/bin/sh\n{line}\n")).unwrap();
        fs::set_permissions(chat.program(), fs::Permissions::from_mode(0o755)).unwrap();
        chat
    }

    fn program(&self) -> PathBuf {
        self.0.join("chat")
    }

    /// The example's `run` with this chat.
    fn run(&self, engine: &str) -> Command {
        let mut run = Command::new(folder().join("run"));
        run.arg(engine).env("CHAT_PROGRAM", self.program());
        run
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// What `run` prints with this engine; `None` if a program is not installed.
fn transcript(engine: &str) -> Option<String> {
    if !can_run() {
        return None;
    }
    // The example: this binary, by its arguments.
    let (binary, (test, variable)) = (std::env::current_exe().unwrap(), PROCESS);
    let line = format!("{variable}=\"$*\" exec '{}' {test} --exact --nocapture --test-threads=1", binary.display());
    let run = Chat::of(engine, &line).run(engine).output().unwrap();
    let (said, complaint) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{engine}: {said}{complaint}");
    Some(said.into_owned())
}

fn expected() -> String {
    fs::read_to_string(folder().join("transcript")).unwrap()
}

#[test]
fn one_process_with_a_hub_of_its_own_has_the_transcript() {
    let Some(said) = transcript("local") else { return };
    assert_eq!(said, expected());
}

#[test]
fn two_processes_and_redis_have_the_transcript() {
    if !is_installed(broker::Program::Redis) {
        return;
    }
    let Some(said) = transcript("redis") else { return };
    assert_eq!(said, expected());
}

#[test]
fn two_processes_and_nats_have_the_transcript() {
    if !is_installed(broker::Program::Nats) {
        return;
    }
    let Some(said) = transcript("nats") else { return };
    assert_eq!(said, expected());
}

#[test]
fn nothing_stays_behind_when_the_run_is_stopped() {
    if !can_run() {
        return;
    }
    for (signal, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        // It is waited for until the end.
        let chat = Chat::of(signal, "echo $$ > \"$0.id\" && exec tail -f /dev/null");
        let run = chat.run("local").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let id = loop {
            match fs::read_to_string(chat.0.join("chat.id")) {
                Ok(id) if id.ends_with('\n') => break id.trim().to_owned(),
                _ => std::thread::yield_now(),
            }
        };
        let kill = |argument: &str, id: &str| Command::new("kill").args([argument, id]).stderr(Stdio::null()).status().unwrap();
        assert!(kill(signal, &run.id().to_string()).success());
        let end = run.wait_with_output().unwrap();
        assert_eq!(end.status.code(), Some(code), "{}", String::from_utf8_lossy(&end.stderr));
        assert_eq!(String::from_utf8_lossy(&end.stderr), "");
        assert!(!kill("-0", &id).success(), "the chat has not ended");
    }
}
