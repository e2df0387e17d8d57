//! Every event in every phase, as in the tables at the head of `phase.rs`.

use std::error::Error;
use std::io;

use torsade_protocols::{Deadline, Reason};

use super::{Incoming, Lifecycle, Outgoing};

/// A phase and its reason, to compare with.
fn describe(lifecycle: &Lifecycle) -> String {
    match lifecycle {
        Lifecycle::Open => "Open".to_owned(),
        Lifecycle::Closing(close) if close.gave_up => format!("Closing {}, gave up", close.reason.kind()),
        Lifecycle::Closing(close) => format!("Closing {}", close.reason.kind()),
        Lifecycle::Doomed(doom) if doom.resets => format!("Doomed {}, resets", doom.reason.kind()),
        Lifecycle::Doomed(doom) => format!("Doomed {}", doom.reason.kind()),
        Lifecycle::Lost => "Lost".to_owned(),
    }
}

fn fault() -> Reason {
    Reason::Protocol(Box::<dyn Error>::from("a fault").into())
}

fn layer_fault() -> Reason {
    Reason::CompressFailed("a layer".to_owned())
}

const LIFECYCLES: [fn() -> Lifecycle; 6] = [
    || Lifecycle::Open,
    || lifecycle_after(|lifecycle| lifecycle.close(Reason::ConnectionDone)),
    || lifecycle_after(|lifecycle| lifecycle.fail(fault())),
    || lifecycle_after(|lifecycle| lifecycle.doom(Reason::ShuttingDown)),
    || lifecycle_after(|lifecycle| lifecycle.doom(Reason::ConnectionAborted)),
    || Lifecycle::Lost,
];

fn lifecycle_after(event: fn(&mut Lifecycle)) -> Lifecycle {
    let mut lifecycle = Lifecycle::Open;
    event(&mut lifecycle);
    lifecycle
}

/// Checks the effect of an event on each of [`LIFECYCLES`].
fn assert_lifecycles(event: fn(&mut Lifecycle), expected: [&str; 6]) {
    let after = LIFECYCLES.map(|begin| {
        let mut lifecycle = begin();
        event(&mut lifecycle);
        describe(&lifecycle)
    });
    assert_eq!(after.each_ref().map(String::as_str), expected);
}

#[test]
fn a_lifecycle_passes_its_phases_as_the_table_says() {
    let (done, failed) = ("Closing ConnectionDone", "Closing Protocol");
    let (decided, aborted) = ("Doomed ShuttingDown", "Doomed ConnectionAborted, resets");
    assert_lifecycles(|_| {}, ["Open", done, failed, decided, aborted, "Lost"]);
    assert_lifecycles(|lifecycle| lifecycle.close(Reason::ConnectionDone), [done, done, failed, decided, aborted, "Lost"]);
    assert_lifecycles(|lifecycle| lifecycle.fail(fault()), [failed, failed, failed, decided, aborted, "Lost"]);
    assert_lifecycles(
        |lifecycle| lifecycle.give_up(layer_fault()),
        [
            "Closing CompressFailed, gave up",
            "Closing CompressFailed, gave up",
            "Closing Protocol, gave up",
            decided,
            aborted,
            "Lost",
        ],
    );
    assert_lifecycles(
        |lifecycle| lifecycle.doom(Reason::TimedOut(Deadline::Flush)),
        ["Doomed TimedOut, resets", "Doomed TimedOut, resets", "Doomed Protocol, resets", decided, aborted, "Lost"],
    );
    assert_lifecycles(
        |lifecycle| lifecycle.doom(io::Error::from(io::ErrorKind::ConnectionReset).into()),
        ["Doomed ConnectionLost", "Doomed ConnectionLost", "Doomed Protocol", decided, aborted, "Lost"],
    );
    assert_lifecycles(|lifecycle| drop(lifecycle.lose()), ["Open", done, failed, "Lost", "Lost", "Lost"]);
}

#[test]
fn an_end_is_given_out_once_to_be_reported() {
    let mut lifecycle = lifecycle_after(|lifecycle| lifecycle.doom(Reason::ShuttingDown));
    assert_eq!(lifecycle.lose().map(|doom| doom.reason.kind()), Some("ShuttingDown"));
    assert!(lifecycle.lose().is_none());
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
    assert_eq!(after(Outgoing::report_failure), [Open, Ending, Finished, Ended, Ended]);
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
