//! A client as one async function: it sends lines and awaits the answers.
//!
//! Run:    cargo run --example async_client [ENDPOINT]     (default 127.0.0.1:8123; start chat_server first)
//! Expect: the server's question, its welcome, and exit code 0; without a server, the reason, and exit code 1.

use std::time::Duration;

use torsade::prelude::*;
use torsade::{DeferredQueue, Escaped, react};

/// Passes lines on to the function that awaits them.
struct Lines(DeferredQueue<Vec<u8>>);

impl LineProtocol for Lines {
    fn line_received(&mut self, _transport: &LineTransport, line: &[u8]) -> Result {
        // An error, which closes the connection, once 100 lines wait.
        Ok(self.0.put(line.to_vec())?)
    }
}

async fn chat(reactor: Reactor, endpoint: String) -> Result {
    let lines = DeferredQueue::new(100, 1);
    let transport = reactor.connect_protocol(&endpoint, LineReceiver::new(Lines(lines.clone()))).await?;
    let next_line = || lines.get().add_timeout(Duration::from_secs(5), &reactor);
    println!("{}", Escaped(String::from_utf8_lossy(&next_line().await?)));
    transport.write("async\r\n");
    println!("{}", Escaped(String::from_utf8_lossy(&next_line().await?)));
    transport.lose_connection();
    Ok(())
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8123".into());
    react(|reactor| chat(reactor, endpoint))
}
