//! Checks a port against the original: makes the same connections to both programs, and shows the first difference.
//!
//! Run:    cargo run --example port_checker -- ORIGINAL_COMMAND PORT_COMMAND SCRIPT
//!         cargo run --example port_checker -- --random SEED[..SEED] ORIGINAL_COMMAND PORT_COMMAND GRAMMAR
//! Try:    cargo run --example port_checker -- 'python3 examples/ports/chat/original.py {listen}' \
//!             'target/debug/examples/port_chat {listen}' examples/ports/chat/script
//! Expect: a timeline of what both did, and "the same in N steps"; or the first difference, and exit code 1.
//!
//! **Commands** are run without a shell. `{listen}` is a local address for the program to listen on; `{peer}` is one on which the
//! checker listens, for clients; `{listen2}` and so on are further ones. A leading `NAME=VALUE` sets the environment. A program
//! is ready when a connection to each of its addresses has succeeded, which it sees as one that is opened and closed.
//!
//! **Scripts** have one action per line; `#` begins a comment. A leading `&` runs the action together with the line before.
//!
//! | line | action |
//! |---|---|
//! | `open a`, `open a 2` | connects to the first place, `{listen}`, or the second, `{listen2}`; `a` names the connection |
//! | `place 2 tls:{listen}:certificate=anna.pem` | says how every `open` to the second place connects: by this client endpoint |
//! | `accept a`, `accept a 2` | waits for the program's next connection to `{peer}`, to `{peer2}` |
//! | `send a "text\r\n"` | sends bytes; escapes are `\r \n \t \0 \\ \" \x7f`, and `"x"*1000` repeats |
//! | `expect a "text\r\n"` | both have to send exactly these bytes next, after those expected before |
//! | `end a` | ends our stream, and goes on reading (half-close) |
//! | `close a`, `reset a` | closes gracefully; resets |
//! | `datagram "text"`, `datagram 2 "text"` | sends a datagram to `{listen}`, to `{listen2}` |
//! | `pause a`, `resume a` | pauses reading; resumes it |
//! | `wait 200ms` | lets time pass, for programs with timers |
//! | `ended` | waits until the program has ended by itself |
//!
//! After each step the checker waits until both have shown the same and nothing more arrives. It compares what arrives on each
//! connection (not how it is split), how connections end (end of stream, reset, refused, TLS alert), and how the program ends.
//! After lines joined by `&`, the order of lines on a connection is ignored, since it is not determined. A difference counts once
//! both programs have been at rest for two seconds: on Linux the system tells; elsewhere, when nothing arrives. Both are killed
//! at the end, by their ids; programs that they have started are not.
//!
//! **Places** are what `open` connects to: `{listen}` is the first, `{listen2}` the second, over TCP. A line `place` replaces one
//! by any [client endpoint](torsade::manual::endpoints) that leads to the program, so several places may lead to one address,
//! each with its own certificate. File names are relative to the working directory. Over TLS (feature `tls`) the checker compares
//! decrypted bytes and alerts. In TLS 1.3 a client completes its handshake before the server has checked its certificate: the
//! alert that refuses it still belongs to the step that opened the connection.
//!
//! **Grammars** describe random scripts. Everything but `piece` is optional.
//!
//! | line | meaning | default |
//! |---|---|---|
//! | `piece "bob\r\n"` | something to send | |
//! | `bytes 1..20 "abc\r\n"` | this many bytes, drawn from these | |
//! | `piece 2 "who\r\n"`, `bytes 1..20 2 "abc"` | the same, only on connections to the second place | |
//! | `connections 3` | the maximum number of connections at a time | 3 |
//! | `steps 4..16` | the number of steps of a script | 4..16 |
//! | `places 3` | the number of places to open connections to: `{listen}` to `{listen3}` | 1 |
//! | `place 2 tls:{listen}:certificate=anna.pem` | as in scripts; there are at least two places then | |
//! | `peers 2` | for servers that are also clients: first a connection to each of two `{peer}`s is accepted | |
//! | `accept 1`, `accept 1 again` | for clients: the number of connections the programs make, and whether repeatedly; none are opened | |
//! | `wait 50ms` | how long to wait in each step that sends, for programs with timers | |
//! | `weight send 10` | how often an action is drawn: `open`, `send`, `cut`, `end`, `close`, `reset`, `pause`, `together`, `datagram` | 3, 10, 2, 1, 1, 1, 0, 0, 0 |
//!
//! The programs are started once for all seeds. A script that shows a difference is reduced to the steps it needs, with the
//! programs restarted for each attempt, and the result is printed as a file to run again.

pub mod action;
pub mod at_rest;
pub mod bytes;
pub mod check;
pub mod command_text;
pub mod connection;
pub mod grammar;
pub mod observed;
pub mod place;
pub mod play;
pub mod program;
pub mod random;
pub mod script;
pub mod shrink;
pub mod side;
pub mod timeline;

use std::ops::RangeInclusive;
use std::process::ExitCode;

use torsade::prelude::*;
use torsade::react;

use self::check::Check;
use self::grammar::Grammar;
use self::script::Script;

const USAGE: &str = "usage: port_checker [--random SEED[..SEED]] ORIGINAL_COMMAND PORT_COMMAND SCRIPT_OR_GRAMMAR";

fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
        _ => Err(format!("{text:?} is neither a seed nor a range of seeds: 7, 1..200")),
    }
}

/// Whether both do the same.
async fn compare(reactor: Reactor, mut arguments: Vec<String>) -> Result<bool> {
    let random = if arguments.first().is_some_and(|first| first == "--random") {
        arguments.remove(0);
        if arguments.is_empty() {
            return Err(USAGE.into());
        }
        Some(seeds(&arguments.remove(0))?)
    } else {
        None
    };
    let [original, port, file] = &arguments[..] else { return Err(USAGE.into()) };
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let in_file = |error| format!("{file}: {error}");
    let check = Check::new(original, port)?;
    let Some(seeds) = random else {
        let script = Script::parse(&text).map_err(in_file)?;
        let (timeline, printed) = check.play(&reactor, &script).await?;
        print!("{timeline}");
        let same = timeline.verdict == timeline::Verdict::Same;
        if !same {
            tell(&printed);
        }
        return Ok(same);
    };
    let grammar = Grammar::parse(&text).map_err(in_file)?;
    let Some(found) = check.play_seeds(&reactor, &grammar, seeds.clone()).await? else {
        println!("the same for the seeds {} to {}", seeds.start(), seeds.end());
        return Ok(true);
    };
    print!("{}", found.timeline);
    tell(&found.printed);
    println!("\n# found by seed {}; as a script:\n{}", found.seed, found.script);
    Ok(false)
}

fn tell(printed: &[String; 2]) {
    for (who, printed) in ["original", "port"].iter().zip(printed).filter(|(_, printed)| !printed.is_empty()) {
        println!("\nthe {who} printed at last:\n{}", printed.trim_end());
    }
}

fn main() -> ExitCode {
    env_logger::init();
    let arguments = std::env::args().skip(1).collect();
    match react(|reactor| compare(reactor, arguments)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
