//! What is written of connections, and the command line.

use std::time::Duration;

use super::{World, transit_relay, unsided};
use transit_relay::options::Options;
use transit_relay::usage::blur_size;

#[test]
fn a_pair_has_one_record_of_what_both_sent() {
    let world = World::new();
    world.reactor.advance(Duration::from_secs(3));
    let first = world.guest(unsided());
    world.reactor.advance(Duration::from_secs(20));
    let second = world.guest(unsided());
    world.send(&first, b"12345");
    world.send(&second, b"678");
    world.reactor.advance(Duration::from_millis(1500));
    second.end();
    world.settle();
    assert_eq!(
        world.log(),
        "{\"started\": 1000003.0, \"total_time\": 21.5, \"waiting_time\": 20.0, \"total_bytes\": 8, \"mood\": \"happy\"}\n"
    );
}

#[test]
fn one_who_met_nobody_has_no_waiting_time() {
    let world = World::new();
    let guest = world.guest(unsided());
    world.reactor.advance(Duration::from_secs(2));
    guest.end();
    world.settle();
    assert_eq!(
        world.log(),
        "{\"started\": 1000000.0, \"total_time\": 2.0, \"waiting_time\": null, \"total_bytes\": 0, \"mood\": \"lonely\"}\n"
    );
}

#[test]
fn times_and_sizes_are_blurred() {
    let world = World::blurred(60);
    world.reactor.advance(Duration::from_secs(50));
    let [first, _second] = [world.guest(unsided()), world.guest(unsided())];
    world.send(&first, b"12345");
    first.end();
    world.settle();
    assert!(world.log().starts_with("{\"started\": 1000020.0, "), "{}", world.log());
    assert!(world.log().contains("\"total_bytes\": 10000, "), "{}", world.log());
}

#[test]
fn sizes_are_rounded_up_to_steps() {
    let sizes = [0, 1, 10_000, 10_001, 999_999, 1_000_000, 1_000_001, 1_000_000_000, 1_000_000_001];
    let blurred = [0, 10_000, 10_000, 20_000, 1_000_000, 1_000_000, 2_000_000, 1_000_000_000, 1_100_000_000];
    assert_eq!(sizes.map(blur_size), blurred);
}

fn parse(arguments: &str) -> Result<Options, String> {
    Options::parse(arguments.split(' ').filter(|word| !word.is_empty()).map(str::to_owned)).map_err(|error| error.to_string())
}

#[test]
fn the_command_line_is_the_original_s() {
    let unset = Options { port: r"tcp:4001:interface=\:\:".into(), blur_usage: 0, log_fd: None };
    assert_eq!(parse(""), Ok(unset.clone()));
    let all = Options { port: "tcp:1:interface=127.0.0.1".into(), blur_usage: 60, log_fd: Some(3) };
    assert_eq!(parse("--port tcp:1:interface=127.0.0.1 --blur-usage 60 --log-fd 3"), Ok(all.clone()));
    assert_eq!(parse("-p tcp:1:interface=127.0.0.1 --blur-usage=60 --log-fd=3"), Ok(all));
    assert!(parse("--port").unwrap_err().starts_with("--port wants a value"));
    assert!(parse("--blur-usage x").unwrap_err().starts_with("--blur-usage: \"x\" is not a number"));
    assert!(parse("--websocket tcp:1").unwrap_err().starts_with("--websocket is not one of the options"));
}
