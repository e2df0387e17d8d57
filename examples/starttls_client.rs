//! A client of lines that switches TLS on in mid-stream; the port of Twisted's starttls_client.
//!
//! Run:    cargo run --features tls --example starttls_client [ADDRESS [CA.pem [NAME]]]
//!         (localhost:8000 and keys/ca.pem unless given; start starttls_server first)
//! Expect: "received: READY"; the server prints "plain text", "STARTTLS" and "secure text".

use torsade::prelude::*;

struct StartTlsClient {
    config: TlsClientConfig,
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
            // Waits for the handshake, and the close waits for both.
            transport.send_line("secure text");
            transport.lose_connection();
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, reason: &Reason) -> Result {
        println!("{reason}");
        Ok(transport.reactor().stop()?)
    }
}

fn main() -> Result {
    env_logger::init_from_env(env_logger::Env::new().default_filter_or("warn")); // says why there is no connection
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "localhost:8000".into());
    let roots = args.next().unwrap_or_else(|| "keys/ca.pem".into());

    let mut config = TlsClientConfig::builder().roots(TrustRoots::from_pem_file(roots)?);
    if let Some(name) = args.next() {
        config = config.server_name(&name);
    }
    let config = config.build()?;
    let reactor = Reactor::new()?;
    reactor.connect_tcp(address, move |_peer| LineReceiver::new(StartTlsClient { config: config.clone() }))?;
    reactor.run()
}
