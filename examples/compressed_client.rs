//! The article's client: an ordinary one. It makes no extra call, and gets plain bytes from a server that compresses.
//!
//! Run:    cargo run --example compressed_client [ENDPOINT] [--expect FORMAT]     (default 127.0.0.1:8001)
//! Try:    printf 'one\ntwo\n' | cargo run --example compressed_client
//! Expect: the answers as plain text. With --expect deflate it also reads a server that compresses without an announcement.

use std::io::{IsTerminal, Write, stdin, stdout};

use torsade::prelude::*;

struct Client {
    expect: Option<String>,
}

impl Protocol for Client {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        if let Some(format) = &self.expect {
            transport.expect_compression(format.as_str(), b"")?;
        }
        if stdin().is_terminal() {
            transport.write("Hello from a client that knows nothing of compression\n");
            transport.lose_write_connection();
        } else {
            send_stdin(transport.clone());
        }
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        stdout().write_all(data)?;
        Ok(stdout().flush()?)
    }

    fn connection_lost(&mut self, transport: &Transport, reason: &Reason) -> Result {
        if !reason.is_clean() {
            eprintln!("{reason}");
        }
        Ok(transport.reactor().stop()?)
    }
}

/// Sends standard input line by line, on a thread, since reading it blocks.
fn send_stdin(transport: Transport) {
    let reactor = transport.reactor().clone();
    let read = || stdin().lines().next().and_then(Result::ok);
    reactor.call_in_thread(read, move |line| match line {
        Ok(Some(line)) => {
            transport.write(line + "\n");
            send_stdin(transport);
        }
        _ => transport.lose_write_connection(),
    });
}

fn main() -> Result {
    env_logger::init_from_env(env_logger::Env::new().default_filter_or("warn")); // says why there is no connection
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let expect = args.iter().position(|arg| arg == "--expect").map(|at| args.drain(at..).nth(1).ok_or("--expect needs a format"));
    let expect = expect.transpose()?;
    let endpoint = args.first().map_or("127.0.0.1:8001", String::as_str);
    let reactor = Reactor::new()?;
    reactor.connect(endpoint, move |_peer| Client { expect: expect.clone() })?;
    reactor.run()
}
