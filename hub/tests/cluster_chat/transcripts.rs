//! What people hear is the same whichever engine there is: the example's `run`.

use std::fs;
use std::process::{Command, Stdio};

use crate::broker::{self, is_installed};
use crate::programs::{PROCESS, folder};

/// What `run` prints with this engine; none where a program is missing.
fn transcript(engine: &str) -> Option<String> {
    for program in ["python3", "haproxy"] {
        let is_there = |place: &&str| Command::new(place).arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
        if ![program, &format!("/usr/sbin/{program}")].iter().any(is_there) {
            println!("skipped: {program} is not installed");
            return None;
        }
    }
    // The example, built already: this binary, by its arguments.
    let script = std::env::temp_dir().join(format!("torsade-chat-{engine}-{}", std::process::id()));
    let binary = std::env::current_exe().unwrap();
    let text = format!(
        "#!/bin/sh\n{}=\"$*\" exec '{}' {} --exact --nocapture --test-threads=1\n",
        PROCESS.1,
        binary.display(),
        PROCESS.0
    );
    fs::write(&script, text).unwrap();
    let made = Command::new("chmod").arg("+x").arg(&script).status().unwrap();
    assert!(made.success());
    let run = Command::new(folder().join("run")).arg(engine).env("CHAT_PROGRAM", &script).output().unwrap();
    fs::remove_file(&script).unwrap();
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
