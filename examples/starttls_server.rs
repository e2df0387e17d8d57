//! A line server that switches TLS on in mid-stream; a port of Twisted's starttls_server.
//!
//! Run:    cargo run --features tls --example starttls_server [ENDPOINT [CERT.pem KEY.pem]]
//!         (default 127.0.0.1:8000, keys/server.pem and keys/server.key; make_keys makes them)
//! Try:    starttls_client, or nc 127.0.0.1 8000 with "STARTTLS" immediately followed by another line
//! Expect: prints each line. Plaintext lines after STARTTLS are refused and never printed.

use torsade::prelude::*;

struct StartTlsServer {
    config: TlsServerConfig,
}

impl LineProtocol for StartTlsServer {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        println!("received: {}", line.escape_ascii());
        if line == b"STARTTLS" {
            println!("-- switching to TLS");
            // Sent in plaintext, since it is written before the switch.
            transport.send_line("READY");
            transport.start_tls(&self.config)?;
        }
        Ok(())
    }

    fn handshake_completed(&mut self, _transport: &LineTransport) -> Result {
        println!("-- TLS is on");
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, reason: &Reason) -> Result {
        println!("{reason}");
        Ok(())
    }
}

fn main() -> Result {
    env_logger::init();
    let mut args = std::env::args().skip(1);
    let endpoint = args.next().unwrap_or_else(|| "127.0.0.1:8000".into());
    let certificate = args.next().unwrap_or_else(|| "keys/server.pem".into());
    let key = args.next().unwrap_or_else(|| "keys/server.key".into());

    let config = TlsServerConfig::from_pem_files(certificate, key)?;
    let reactor = Reactor::new()?;
    let port = reactor.listen(&endpoint, move |_peer| LineReceiver::new(StartTlsServer { config: config.clone() }))?;
    println!("listening on {}", port.address());
    reactor.run()
}
