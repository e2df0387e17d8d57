//! A client as one async function: lines go out, and answers are awaited.
//!
//! Run:    cargo run --example async_client [ADDRESS]     (127.0.0.1:8123 unless given; start chat_server first)
//! Expect: the server's question, its welcome, and exit code 0; without a server, why not, and exit code 1.

use std::time::Duration;

use torsade::prelude::*;
use torsade::service::{ClientService, Service};
use torsade::{DeferredQueue, Escaped, react};

/// Passes lines on to whoever awaits them.
struct Lines(DeferredQueue<Vec<u8>>);

impl LineProtocol for Lines {
    fn line_received(&mut self, _transport: &LineTransport, line: &[u8]) -> Result {
        // 100 lines that nobody has asked for close the connection.
        Ok(self.0.put(line.to_vec())?)
    }
}

async fn chat(reactor: Reactor, address: String) -> Result {
    let lines = DeferredQueue::new(100, 1);
    let received = lines.clone();
    let client = ClientService::new(address, move |_peer| LineReceiver::new(Lines(received.clone())))?;
    client.start_service(&reactor)?;
    let transport = client.when_connected(Some(1)).await?;
    let next_line = || lines.get().add_timeout(Duration::from_secs(5), &reactor);
    println!("{}", Escaped(String::from_utf8_lossy(&next_line().await?)));
    transport.write("async\r\n");
    println!("{}", Escaped(String::from_utf8_lossy(&next_line().await?)));
    Ok(client.stop_service().await?)
}

fn main() -> Result {
    env_logger::init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8123".into());
    react(|reactor| chat(reactor, address))
}
