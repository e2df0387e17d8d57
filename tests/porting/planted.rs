//! Faults planted in ports are found, by random scripts that are made small.

use std::time::Duration;

use crate::checking::{found, grammar, of_ports};
#[cfg(feature = "tls")]
use crate::guests::House;
use crate::mutants::Mutation;
use crate::port_checker::check::Check;
use crate::programs::port;

#[test]
fn a_port_without_a_fault_is_found_to_be_the_same() {
    assert!(found(of_ports(&port("chat", None), &port("chat", None)), &grammar("chat"), 20).unwrap().is_none());
}

/// The fault, and how many lines the smallest script has at most.
fn is_found(mutation: Mutation, most: usize) {
    is_found_in("chat", mutation, most);
}

fn is_found_in(name: &str, mutation: Mutation, most: usize) {
    is_found_by(of_ports(&port(name, None), &port(name, Some(mutation))), &grammar(name), most);
}

/// Asserts that random scripts show a difference, and that the smallest script has at most this many lines.
pub fn is_found_by(check: Check, grammar: &str, most: usize) {
    let found = found(check, grammar, 200).unwrap().expect("the fault is found");
    println!("by seed {}:\n{}\n{}", found.seed, found.script, found.timeline);
    assert!(found.timeline.is_different());
    let lines = found.script.to_string().lines().count();
    assert!(lines <= most, "{lines} lines:\n{}", found.script);
}

#[test]
fn a_fault_of_the_line_server_is_found() {
    is_found_in("line_server", Mutation::OneLineAChunk, 2);
}

#[test]
fn a_fault_of_the_relay_is_found() {
    is_found_in("relay", Mutation::ForgetsTheLost, 6);
}

#[test]
fn faults_of_the_transit_relay_are_found() {
    is_found_in("transit_relay", Mutation::OneLineAChunk, 3);
    is_found_in("transit_relay", Mutation::ResetsAtTheEnd, 2);
}

#[test]
fn a_fault_behind_a_proxy_is_found() {
    is_found_in("behind_proxy", Mutation::OneLineAChunk, 3);
}

#[test]
fn a_fault_of_the_leases_is_found() {
    is_found_in("leases", Mutation::ChunkIsALine, 3);
}

#[test]
fn a_fault_of_the_filter_is_found() {
    is_found_in("filter", Mutation::OneLineAChunk, 3);
}

#[test]
fn an_exit_code_that_claims_success_is_found() {
    is_found_in("questions", Mutation::ClaimsSuccess, 2);
}

#[test]
fn a_failure_that_is_not_handed_on_is_found() {
    is_found_in("sums", Mutation::ClaimsSuccess, 3);
}

#[test]
fn a_second_connection_of_a_client_is_found() {
    is_found_in("agent", Mutation::ConnectsTwice, 1);
}

#[cfg(feature = "tls")]
#[test]
fn faults_of_the_guests_are_found() {
    let house = House::new();
    let check = |mutation| of_ports(&house.port(None), &house.port(Some(mutation)));
    // Lines `place` included.
    is_found_by(check(Mutation::TakesThoseWithoutACertificate), &house.grammar(), 2);
    is_found_by(check(Mutation::ForgetsTheLost), &house.grammar(), 6);
}

/// A hurried pass mistakes the late greeting for a difference, and ends with a script that only opens a connection.
#[test]
fn what_comes_late_is_not_taken_for_the_difference() {
    let check = Check {
        patience: Duration::from_millis(800),
        ..of_ports(&port("chat", None), &port("chat", Some(Mutation::GreetsLate)))
    };
    is_found_by(check, "connections 1\nsteps 9\npiece \"a\\r\\n\"", 2);
}

#[test]
fn a_grammar_that_does_not_suit_the_programs_is_reported() {
    let check = of_ports(&port("chat", None), &port("chat", None));
    let told = found(check, "accept 1\npiece \"x\"", 2);
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
fn a_loss_that_is_not_reported_is_found() {
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
