//! The datagram examples: in simulated networks, and two of them as processes.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::programs::{echoclient_udp, echoserv_udp, multicast_chat, multicast_client, multicast_server, udp_echo};
use crate::support::example;
use torsade::simulated::{Faults, Simulation};

#[test]
fn the_udp_clients_come_to_their_end_in_a_network_that_loses_nothing() {
    let simulation = Simulation::new(1);
    let (server, client) = (simulation.host("10.0.0.1"), simulation.host("10.0.0.2"));
    echoserv_udp::start(&server, "0.0.0.0:8000").unwrap();
    echoclient_udp::start(&client, "10.0.0.1:8000").unwrap();
    simulation.run_until(|| client.is_stopping() && !client.is_running()).unwrap();
    assert_eq!(simulation.log().on("10.0.0.2").named("datagram_received").len(), 3);
}

#[test]
fn udp_echo_asks_until_it_has_an_answer_whatever_is_lost() {
    for seed in 0..20 {
        let simulation = Simulation::with_faults(seed, Faults { loss: 0.5, ..Faults::lossy() });
        let (server, client) = (simulation.host("10.0.0.1"), simulation.host("10.0.0.2"));
        udp_echo::start(&server, "0.0.0.0:8000").unwrap();
        udp_echo::start_client(&client, "10.0.0.1:8000").unwrap();
        simulation.run_until(|| client.is_stopping() && !client.is_running()).unwrap();
    }
}

#[test]
fn every_member_of_the_chat_hears_every_member_once() {
    let simulation = Simulation::new(1);
    let hosts: Vec<_> = (1..=3).map(|number| simulation.host(&format!("10.0.0.{number}"))).collect();
    for host in &hosts {
        multicast_chat::start(host).unwrap();
        simulation.run_for(Duration::from_secs(1)).unwrap();
    }
    let heard: Vec<usize> = hosts.iter().map(|host| simulation.log().on(host).named("datagram_received").len()).collect();
    assert_eq!(heard, [3, 2, 1], "each hears itself and those who join later");
}

#[test]
fn the_multicast_client_hears_itself_and_the_server() {
    let simulation = Simulation::new(1);
    let (server, client) = (simulation.host("10.0.0.1"), simulation.host("10.0.0.2"));
    multicast_server::start(&server).unwrap();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    multicast_client::start(&client).unwrap();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    let bytes = |host: &str| simulation.log().on(host).named("datagram_received").bytes();
    assert_eq!((bytes("10.0.0.1"), bytes("10.0.0.2")), (12, 24));
}

#[test]
fn as_processes_they_print_what_their_headers_say() {
    let mut server = Command::new(example("echoserv_udp")).arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").expect("it says where it listens");
    let output = Command::new(example("echoclient_udp")).arg(address).output().unwrap();
    let asked = Command::new(example("udp_echo")).args(["ask", address]).output().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = ["Hello, world!", "What a fine day it is.", "Bye-bye!"].map(|line| format!("Datagram received: {line}"));
    assert_eq!(text.lines().collect::<Vec<_>>(), lines);
    assert_eq!(String::from_utf8(asked.stdout).unwrap(), format!("{address} answers hello\n"));
    let refused = Command::new(example("udp_echo")).args(["ask", address]).output().unwrap();
    assert_eq!(String::from_utf8(refused.stdout).unwrap(), format!("nothing listens on {address}\n"));
}
