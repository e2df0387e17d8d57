//! Every event in every phase, as in the tables at the head of `phase.rs`.

use std::error::Error;
use std::io;

use torsade_protocols::{Deadline, Reason};

use super::{Incoming, Life, Outgoing};

/// A phase and its reason, to compare with.
fn told(life: &Life) -> String {
    match life {
        Life::Open => "Open".to_owned(),
        Life::Closing(close) if close.gave_up => format!("Closing {}, gave up", close.reason.kind()),
        Life::Closing(close) => format!("Closing {}", close.reason.kind()),
        Life::Doomed(doom) if doom.resets => format!("Doomed {}, resets", doom.reason.kind()),
        Life::Doomed(doom) => format!("Doomed {}", doom.reason.kind()),
        Life::Lost => "Lost".to_owned(),
    }
}

fn fault() -> Reason {
    Reason::Protocol(Box::<dyn Error>::from("a fault").into())
}

fn layer_fault() -> Reason {
    Reason::CompressFailed("a layer".to_owned())
}

const LIVES: [fn() -> Life; 6] = [
    || Life::Open,
    || life(|life| life.close(Reason::ConnectionDone)),
    || life(|life| life.fail(fault())),
    || life(|life| life.doom(Reason::ShuttingDown)),
    || life(|life| life.doom(Reason::ConnectionAborted)),
    || Life::Lost,
];

fn life(event: fn(&mut Life)) -> Life {
    let mut life = Life::Open;
    event(&mut life);
    life
}

/// Checks the effect of an event on each of [`LIVES`].
fn assert_lives(event: fn(&mut Life), expected: [&str; 6]) {
    let after = LIVES.map(|begin| {
        let mut life = begin();
        event(&mut life);
        told(&life)
    });
    assert_eq!(after.each_ref().map(String::as_str), expected);
}

#[test]
fn a_life_passes_its_phases_as_the_table_says() {
    let (done, failed) = ("Closing ConnectionDone", "Closing Protocol");
    let (decided, aborted) = ("Doomed ShuttingDown", "Doomed ConnectionAborted, resets");
    assert_lives(|_| {}, ["Open", done, failed, decided, aborted, "Lost"]);
    assert_lives(|life| life.close(Reason::ConnectionDone), [done, done, failed, decided, aborted, "Lost"]);
    assert_lives(|life| life.fail(fault()), [failed, failed, failed, decided, aborted, "Lost"]);
    assert_lives(
        |life| life.give_up(layer_fault()),
        [
            "Closing CompressFailed, gave up",
            "Closing CompressFailed, gave up",
            "Closing Protocol, gave up",
            decided,
            aborted,
            "Lost",
        ],
    );
    assert_lives(
        |life| life.doom(Reason::TimedOut(Deadline::Flush)),
        ["Doomed TimedOut, resets", "Doomed TimedOut, resets", "Doomed Protocol, resets", decided, aborted, "Lost"],
    );
    assert_lives(
        |life| life.doom(io::Error::from(io::ErrorKind::ConnectionReset).into()),
        ["Doomed ConnectionLost", "Doomed ConnectionLost", "Doomed Protocol", decided, aborted, "Lost"],
    );
    assert_lives(|life| drop(life.lose()), ["Open", done, failed, "Lost", "Lost", "Lost"]);
}

#[test]
fn an_end_is_given_out_once_to_be_told() {
    let mut life = life(|life| life.doom(Reason::ShuttingDown));
    assert_eq!(life.lose().map(|doom| doom.reason.kind()), Some("ShuttingDown"));
    assert!(life.lose().is_none());
}

#[test]
fn our_stream_passes_its_phases_as_the_table_says() {
    use Outgoing::{Ended, Ending, Failed, Finished, Open};
    let after = |event: fn(&mut Outgoing)| {
        [Open, Ending, Finished, Ended, Failed].map(|mut outgoing| {
            event(&mut outgoing);
            outgoing
        })
    };
    assert_eq!(after(Outgoing::ask_end), [Ending, Ending, Finished, Ended, Failed]);
    assert_eq!(after(Outgoing::finish), [Finished, Finished, Finished, Ended, Failed]);
    assert_eq!(after(Outgoing::end), [Open, Ending, Ended, Ended, Failed]);
    assert_eq!(after(Outgoing::fail), [Failed; 5]);
    assert_eq!(after(Outgoing::be_absent), [Ended; 5]);
    assert_eq!(after(Outgoing::tell_failure), [Open, Ending, Finished, Ended, Ended]);
}

#[test]
fn the_peers_stream_ends_below_the_layers_first() {
    let after = |event: fn(&mut Incoming)| {
        [Incoming::Open, Incoming::WireEnded, Incoming::Ended].map(|mut incoming| {
            event(&mut incoming);
            incoming
        })
    };
    assert_eq!(after(Incoming::end_wire), [Incoming::WireEnded, Incoming::WireEnded, Incoming::Ended]);
    assert_eq!(after(Incoming::end), [Incoming::Ended; 3]);
}
