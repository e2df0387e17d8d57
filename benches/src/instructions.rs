//! A fixed amount of work for an instruction counter: `instructions WORK ROUNDS`; see `benches/count_instructions`.
//!
//! Server and peers are in one thread. The peers are bare sockets, so that the server's instructions are counted, plus two system
//! calls for each answer.

use torsade::prelude::*;
use torsade_bench::numbers;

mod chat;
mod echo;
#[cfg(feature = "tls")]
#[path = "memory/keys.rs"]
mod keys;
mod line;
mod records;
#[cfg(feature = "tls")]
mod rustls_peer;
mod zline;
mod zroom;

mod instructions {
    pub mod frames;
    pub mod served;
    pub mod timers;
    #[cfg(feature = "tls")]
    pub mod tls;
}

use instructions::served::{Answer, Served};
use instructions::{frames, timers};

/// How many lines or frames a round has, like the load generator has in flight, and their length.
const BATCH: usize = 64;
const LENGTH: usize = 48;
const MEMBERS: usize = 100;
/// More than an encoder's history holds.
const TEXTS: usize = 1_500;

fn main() -> Result {
    let args: Vec<String> = std::env::args().collect();
    let [_, work, rounds] = args.as_slice() else { return Err("usage: instructions WORK ROUNDS".into()) };
    let rounds = rounds.parse()?;
    match work.as_str() {
        "echo" => Served::new(1, |_peer| echo::Echo)?.run(rounds, &[vec![b'x'; 64]], &Answer::Bytes(64)),
        "line" => {
            let lines = [&[b'x'; LENGTH][..], b"\r\n"].concat().repeat(BATCH);
            let answer = Answer::Bytes(lines.len() + BATCH);
            Served::new(1, |_peer| line::receiver(line::Line))?.run(rounds, &[lines], &answer)
        }
        "frame" => {
            let record = [&[1][..], &(LENGTH as u16).to_be_bytes(), &[b'x'; LENGTH]].concat();
            same(Served::new(1, |_peer| FrameReceiver::new(records::Records, frames::Echo))?, rounds, &record)
        }
        "int16" => {
            let string = [&(LENGTH as u16).to_be_bytes()[..], &[b'x'; LENGTH]].concat();
            same(Served::new(1, |_peer| Int16StringReceiver::new(frames::Echo))?, rounds, &string)
        }
        "netstring" => {
            let string = [LENGTH.to_string().as_bytes(), b":", &[b'x'; LENGTH], b","].concat();
            same(Served::new(1, |_peer| NetstringReceiver::new(frames::Echo))?, rounds, &string)
        }
        "chat" => {
            let room = chat::Room::default();
            let mut served = Served::new(MEMBERS, move |_peer| line::receiver(chat::Member::new(&room)))?;
            for member in 0..MEMBERS {
                served.say(member, b"me\r\n")?;
                served.hear(member, &Answer::Bytes(b"ok\r\n".len()))?;
            }
            let line = [&[b'x'; LENGTH][..], b"\r\n"].concat();
            let answer = Answer::Bytes(line.len() + 1);
            served.run(rounds, &[line], &answer)
        }
        "zline" => {
            let server = |_peer| line::receiver(zline::CompressedLine { flush_each: true });
            Served::new(1, server)?.run(rounds, &texts(), &Answer::Flush)
        }
        "zroom" => zroom(rounds, 200, true),
        "zroom_each" => zroom(rounds, 200, false),
        #[cfg(feature = "tls")]
        "tls" => instructions::tls::echo(rounds),
        "timer" => timers::fire(rounds),
        "timer_put_off" => timers::put_off(rounds),
        "timer_cancel" => timers::cancel(rounds),
        other => Err(format!("no such work: {other}").into()),
    }
}

/// A message of this length to every member of a compressed room, compressed once for all or by each connection.
fn zroom(rounds: usize, length: usize, once: bool) -> Result {
    let texts = texts().concat();
    let requests: Vec<Vec<u8>> = texts.chunks_exact(length).map(<[u8]>::to_vec).collect();
    let room = zroom::Room::default();
    Served::new(MEMBERS, move |_peer| zroom::Member::new(&room, once))?.run(rounds, &requests, &Answer::Flush)
}

/// A batch of frames that all come back unchanged.
fn same(mut served: Served, rounds: usize, frame: &[u8]) -> Result {
    served.run(rounds, &[frame.repeat(BATCH)], &Answer::Bytes(frame.len() * BATCH))
}

/// Lines of words, all different, the same in every run.
fn texts() -> Vec<Vec<u8>> {
    const WORDS: [&str; 16] = [
        "reactor",
        "factory",
        "line",
        "the",
        "connection",
        "lost",
        "made",
        "of",
        "data",
        "received",
        "to",
        "peer",
        "a",
        "transport",
        "write",
        "and",
    ];
    let mut next = numbers();
    (0..TEXTS)
        .map(|number| {
            let words: Vec<&str> = (0..6).map(|_| WORDS[next() % WORDS.len()]).collect();
            format!("{number} {} {:05}\r\n", words.join(" "), next() % 100_000).into_bytes()
        })
        .collect()
}
