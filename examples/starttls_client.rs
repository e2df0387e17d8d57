//! A line client that switches TLS on in mid-stream; a port of Twisted's starttls_client.
//!
//! Run:    cargo run --features tls --example starttls_client [ENDPOINT [CA.pem [NAME]]]
//!         (default localhost:8000 and keys/ca.pem; start starttls_server first)
//! Expect: "received: READY"; the server prints "plain text", "STARTTLS" and "secure text".

use torsade::prelude::*;
use torsade::react;

struct StartTlsClient {
    config: TlsClientConfig,
    done: Option<Firer<()>>,
}

impl LineProtocol for StartTlsClient {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        transport.send_line("plain text");
        transport.send_line("STARTTLS");
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        println!("received: {}", line.escape_ascii());
        if line == b"READY" {
            transport.start_tls(&self.config)?;
            // Sent after the handshake; the close waits for both.
            transport.send_line("secure text");
            transport.lose_connection();
        }
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, reason: &Reason) -> Result {
        println!("{reason}");
        self.done.take().ok_or("it was lost before")?.callback(());
        Ok(())
    }
}

fn main() -> Result {
    env_logger::init();
    let mut args = std::env::args().skip(1);
    let endpoint = args.next().unwrap_or_else(|| "localhost:8000".into());
    let roots = args.next().unwrap_or_else(|| "keys/ca.pem".into());

    let mut config = TlsClientConfig::builder().roots(TrustRoots::from_pem_file(roots)?);
    if let Some(name) = args.next() {
        config = config.server_name(&name);
    }
    let config = config.build()?;
    react(|reactor| async move {
        let (done, firer) = Deferred::new();
        let protocol = LineReceiver::new(StartTlsClient { config, done: Some(firer) });
        Ok(reactor.connect_protocol(&endpoint, (protocol, done)).await?.await?)
    })
}
