//! The chat on several processes, with real brokers and HAProxy: `examples/cluster_chat`.
#![allow(missing_docs, missing_debug_implementations, unreachable_pub, reason = "a test")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test")]
#![cfg(unix)]

#[path = "../support/broker.rs"]
mod broker;
#[path = "../../../examples/cluster_chat/main.rs"]
#[allow(dead_code, reason = "it has a main of its own")]
mod chat;
mod diary;
mod draining;
mod kills;
mod names;
mod people;
mod programs;
mod transcripts;

/// No test but a process of the chat, where this binary was started as one.
#[test]
fn the_process_of_a_chat() {
    let (_, variable) = programs::PROCESS;
    let Ok(arguments) = std::env::var(variable) else { return };
    // Not on the line that the test's name stands on.
    println!();
    chat::run(arguments.split(' ').map(str::to_owned)).unwrap();
}

#[test]
fn a_hub_that_there_is_not_is_told_in_words() {
    let arguments = ["--listen", "127.0.0.1:0", "--hub", "mqtt:127.0.0.1"].map(str::to_owned);
    // As `main` prints it.
    let said = format!("{:?}", chat::run(arguments.into_iter()).unwrap_err());
    assert!(said.starts_with("\"mqtt:127.0.0.1\" is not the address of a hub") && said.contains("redis:"), "{said}");
}
