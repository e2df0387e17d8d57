//! Random HTTP/1.1 conversations byte by byte: pipelined requests, chunks with extensions and trailers, garbage; cut at random
//! places.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use torsade::event_log::Subject;
use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation};

use crate::conversations::{Version, Way, serve};
use crate::{CLIENT, SECOND, SERVER, assert_nothing_is_left, play};

const SEEDS: u64 = 100;

/// What a client sends, how many valid requests that contains, and whether it contains nothing else.
struct Script {
    bytes: Vec<u8>,
    proper: usize,
    garbage: bool,
}

impl Script {
    fn draw(simulation: &Simulation) -> Self {
        let draw = |bound| simulation.draw(bound) as usize;
        let mut script = Self { bytes: Vec::new(), proper: 0, garbage: false };
        for _ in 0..draw(6) {
            script.add_request(simulation);
        }
        if draw(3) == 0 {
            script.garbage = true;
            script.add_garbage(simulation);
        }
        script
    }

    fn add_request(&mut self, simulation: &Simulation) {
        let draw = |bound| simulation.draw(bound) as usize;
        let target = format!("/{}/{}/{}/{}", draw(3000), 1 + draw(500), draw(20), draw(2) == 0);
        let mut text = format!("{} {target} HTTP/1.1\r\nHost: test\r\n", ["GET", "POST", "PUT", "LONG-METHOD"][draw(4)]);
        for number in 0..draw(5) {
            text += &format!("x-{number}:{}{}\r\n", " ".repeat(draw(3)), "v".repeat(draw(200)));
        }
        let body = vec![b'b'; draw(2000)];
        match draw(3) {
            0 => text += "\r\n",
            1 => {
                text += &format!("Content-Length: {}\r\n\r\n", body.len());
                self.proper += 1;
                self.bytes.extend([text.as_bytes(), &body].concat());
                return;
            }
            _ => {
                text += "Transfer-Encoding: chunked\r\n\r\n";
                for chunk in body.chunks(1 + draw(700)) {
                    let extension = ["", ";a", ";name=value", ";q=\"a b\""][draw(4)];
                    text += &format!("{:x}{extension}\r\n{}\r\n", chunk.len(), "b".repeat(chunk.len()));
                }
                text += if draw(3) == 0 { "0\r\nx-trailer: v\r\n\r\n" } else { "0\r\n\r\n" };
            }
        }
        self.proper += 1;
        self.bytes.extend(text.as_bytes());
    }

    /// Adds bytes that are no valid request.
    fn add_garbage(&mut self, simulation: &Simulation) {
        let draw = |bound| simulation.draw(bound) as usize;
        let begun = "POST / HTTP/1.1\r\nHost: test\r\n";
        let garbage: Vec<u8> = match draw(10) {
            0 => (0..1 + draw(3000)).map(|_| draw(256) as u8).collect(),
            1 => format!("{begun}Transfer-Encoding: chunked\r\n\r\nxyz\r\n").into(),
            2 => format!("{begun}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n").into(),
            3 => format!("{begun}Transfer-Encoding: chunked\r\n\r\n5\r\nabcdefgh\r\n").into(),
            4 => format!("{begun}Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef").into(),
            5 => format!("{begun}Content-Length: -1\r\n\r\n").into(),
            6 => format!("{begun}{}", "x: y\r\n".repeat(200)).into(),
            7 => format!("{begun}x: {}", "y".repeat(100_000)).into(),
            8 => format!("{begun}Transfer-Encoding: chunked\r\n\r\n1;{}", "e".repeat(50_000)).into(),
            _ => b"GET / HTTP/1.1\r\n\0\0\r\n\r\n".to_vec(),
        };
        // Cut short, it is a request that never ends.
        let count = if draw(4) == 0 { draw(garbage.len() as u64) } else { garbage.len() };
        self.bytes.extend(&garbage[..count]);
    }
}

/// How a client leaves when everything is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Leaves {
    HalfClosed,
    Reading,
    Dropped,
}

/// Plays a script, cut at random places; returns what came back, if it was read to the end.
async fn client(reactor: Reactor, cuts: Vec<(usize, Duration)>, script: Vec<u8>, leaves: Leaves) -> Result<Option<Vec<u8>>> {
    let (mut reading, mut writing) = futures_lite::io::split(reactor.connect_async("10.0.0.1:80").await?);
    let mut heard = Vec::new();
    let write = async {
        let mut left = &script[..];
        for (length, pause) in cuts.into_iter().cycle() {
            let (piece, rest) = left.split_at(length.min(left.len()));
            // The server may have closed the connection.
            if writing.write_all(piece).await.is_err() || rest.is_empty() {
                break;
            }
            left = rest;
            reactor.sleep(pause).await.ok();
        }
        if leaves == Leaves::HalfClosed {
            writing.close().await.ok();
        }
    };
    if leaves == Leaves::Dropped {
        write.await;
        return Ok(None);
    }
    let (_, read) = futures_lite::future::zip(write, reading.read_to_end(&mut heard)).await;
    Ok(read.is_ok().then_some(heard))
}

fn converse(simulation: &Simulation) {
    let server = simulation.host(SERVER);
    let port = serve(&server, Way::Server(Version::One));
    let script = Script::draw(simulation);
    let leaves = [Leaves::HalfClosed, Leaves::Reading, Leaves::Dropped][simulation.draw(3) as usize];
    let cuts = (0..1 + simulation.draw(20)).map(|_| {
        let length = 1 + simulation.draw(1 << (1 + simulation.draw(12)));
        (length as usize, Duration::from_millis(if simulation.draw(4) == 0 { simulation.draw(50) } else { 0 }))
    });
    let heard = Rc::new(RefCell::new(None));
    let (told, host) = (Rc::clone(&heard), simulation.host(CLIENT));
    let playing = client(host.reactor().clone(), cuts.collect(), script.bytes, leaves);
    host.spawn(async move {
        told.replace(Some(playing.await));
    });
    // The server waits half a minute for a silent client; the rest is for small buffers and a slow network.
    simulation.run_for(1000 * SECOND).unwrap();
    let ended = heard.take().unwrap_or_else(|| panic!("the server waits forever\n{}", simulation.report()));
    if *Faults::calm().latency.end() == *simulation.faults().latency.end() {
        let heard = ended.unwrap();
        assert!(heard.is_some() || script.garbage || leaves == Leaves::Dropped, "{leaves:?}: it was cut off");
        heard.iter().for_each(|heard| judge(heard, script.proper, script.garbage));
    }
    port.stop_listening();
    assert_nothing_is_left(simulation);
    assert_each_connection_has_a_reason(simulation);
}

/// Every valid request is answered before anything is said about invalid ones.
fn judge(heard: &[u8], proper: usize, garbage: bool) {
    let heard = String::from_utf8_lossy(heard);
    let answered = heard.matches("HTTP/1.1 200 OK\r\n").count();
    assert!(answered == proper || garbage && answered == proper + 1, "{answered} of {proper} were answered");
    let refused = heard.matches("HTTP/1.1 4").count();
    assert!(refused <= usize::from(garbage), "{refused} were refused");
}

fn assert_each_connection_has_a_reason(simulation: &Simulation) {
    let (mut made, mut lost) = (0, 0);
    for entry in simulation.log().on(SERVER).entries() {
        if !matches!(entry.event.subject, Subject::Connection { .. }) {
            continue;
        }
        made += usize::from(entry.event.callback == "connection_made");
        lost += usize::from(entry.event.reason.is_some());
        assert_ne!(entry.event.reason.as_deref(), Some("Panicked"));
    }
    assert_eq!(made, lost);
}

#[test]
fn conversations_of_raw_bytes_end_with_answers_or_a_reason_on_a_calm_network() {
    play(&Faults::calm(), SEEDS, converse);
}

#[test]
fn conversations_of_raw_bytes_end_with_a_reason_on_a_hostile_network() {
    // No faults that a server cannot notice: it would wait as long as its deadlines allow, and the client for ever.
    let faults = Faults {
        stuck: 0.0,
        slow: 0.0,
        connect_hangs: 0.0,
        receive_buffer: 500..=65_536,
        send_buffer: 500..=65_536,
        ..Faults::hostile()
    };
    play(&faults, SEEDS, converse);
}
