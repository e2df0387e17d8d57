//! Faults planted in ports are found, by random scripts that are made small.

use std::time::Duration;

use torsade::prelude::*;

use crate::mutants::Mutation;
use crate::port_checker::check::{Check, Found};
use crate::port_checker::grammar::Grammar;
use crate::programs::port;
use crate::support;

const CHAT: &str = include_str!("../../examples/ports/chat/grammar");

fn found(name: &str, grammar: &str, mutation: Option<Mutation>) -> Option<Found> {
    let mut check = Check::new(&port(name, None), &port(name, mutation)).unwrap();
    // Where both programs are seen to be at rest, this is long; elsewhere a slow machine shows more differences, not fewer.
    check.patience = Duration::from_millis(400);
    let grammar = Grammar::parse(grammar).unwrap();
    let reactor = Reactor::new().unwrap();
    let played = reactor.clone();
    let seeds = if mutation.is_none() { 1..=20 } else { 1..=200 };
    support::run_until(&reactor, async move { check.play_seeds(&played, &grammar, seeds).await }).unwrap()
}

#[test]
fn a_port_without_a_fault_is_found_to_be_the_same() {
    assert!(found("chat", CHAT, None).is_none());
}

/// The fault, and how many lines the smallest script has at most.
fn is_found(mutation: Mutation, most: usize) {
    is_found_in("chat", CHAT, mutation, most);
}

fn is_found_in(name: &str, grammar: &str, mutation: Mutation, most: usize) {
    let found = found(name, grammar, Some(mutation)).expect("the fault is found");
    println!("{mutation:?} in {name}, by seed {}:\n{}\n{}", found.seed, found.script, found.timeline);
    assert!(found.timeline.is_different());
    let lines = found.script.to_string().lines().count();
    assert!(lines <= most, "{mutation:?}: {lines} lines:\n{}", found.script);
}

#[test]
fn a_fault_of_the_line_server_is_found() {
    is_found_in("line_server", include_str!("../../examples/ports/line_server/grammar"), Mutation::OneLineAChunk, 2);
}

#[test]
fn a_fault_of_the_relay_is_found() {
    is_found_in("relay", include_str!("../../examples/ports/relay/grammar"), Mutation::ForgetsTheLost, 6);
}

#[test]
fn faults_of_the_transit_relay_are_found() {
    let grammar = include_str!("../../examples/ports/transit_relay/grammar");
    is_found_in("transit_relay", grammar, Mutation::OneLineAChunk, 3);
    is_found_in("transit_relay", grammar, Mutation::ResetsAtTheEnd, 2);
}

#[test]
fn a_fault_behind_a_proxy_is_found() {
    is_found_in("behind_proxy", include_str!("../../examples/ports/behind_proxy/grammar"), Mutation::OneLineAChunk, 3);
}

#[test]
fn a_fault_of_the_leases_is_found() {
    is_found_in("leases", include_str!("../../examples/ports/leases/grammar"), Mutation::ChunkIsALine, 3);
}

#[test]
fn a_fault_of_the_filter_is_found() {
    is_found_in("filter", include_str!("../../examples/ports/filter/grammar"), Mutation::OneLineAChunk, 3);
}

#[test]
fn an_exit_code_that_claims_success_is_found() {
    is_found_in("questions", include_str!("../../examples/ports/questions/grammar"), Mutation::ClaimsSuccess, 2);
}

#[test]
fn a_failure_that_is_not_handed_on_is_found() {
    is_found_in("sums", include_str!("../../examples/ports/sums/grammar"), Mutation::ClaimsSuccess, 3);
}

#[test]
fn a_second_connection_of_a_client_is_found() {
    is_found_in("agent", include_str!("../../examples/ports/agent/grammar"), Mutation::ConnectsTwice, 1);
}

#[test]
fn a_grammar_that_does_not_suit_the_programs_is_told() {
    let check = Check::new(&port("chat", None), &port("chat", None)).unwrap();
    let grammar = Grammar::parse("accept 1\npiece \"x\"").unwrap();
    let reactor = Reactor::new().unwrap();
    let played = reactor.clone();
    let told = support::run_until(&reactor, async move { check.play_seeds(&played, &grammar, 1..=2).await });
    let told = told.unwrap_err().to_string();
    assert!(told.starts_with("seed 1: the grammar does not suit the programs"), "{told}");
    assert!(told.contains("neither does what step 1 waits for: no connection came for s1c1"), "{told}");
}

#[test]
fn a_chunk_taken_for_a_line_is_found() {
    is_found(Mutation::ChunkIsALine, 2);
}

#[test]
fn lines_dropped_behind_the_first_are_found() {
    is_found(Mutation::OneLineAChunk, 2);
}

#[test]
fn a_close_on_an_empty_line_is_found() {
    is_found(Mutation::ClosesOnAnEmptyLine, 2);
}

#[test]
fn a_loss_that_is_not_told_is_found() {
    is_found(Mutation::ForgetsTheLost, 5);
}

#[test]
fn a_missing_greeting_is_found() {
    is_found(Mutation::NoGreeting, 1);
}

#[test]
fn an_end_of_stream_that_is_ignored_is_found() {
    is_found(Mutation::IgnoresTheEnd, 2);
}

#[test]
fn a_reset_in_place_of_an_end_is_found() {
    is_found(Mutation::ResetsAtTheEnd, 2);
}

#[test]
fn a_close_after_forty_bytes_is_found() {
    is_found(Mutation::ClosesAtFortyBytes, 4);
}

#[test]
fn a_byte_that_is_lost_is_found() {
    is_found(Mutation::LosesAByte, 3);
}

#[test]
fn an_end_of_the_whole_program_is_found() {
    is_found(Mutation::EndsAtAReset, 2);
}
