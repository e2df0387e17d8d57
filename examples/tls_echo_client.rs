//! A TLS client: says hello, prints the answer, and ends; a port of Twisted's echoclient_ssl.
//!
//! Run:    cargo run --features tls --example tls_echo_client [ADDRESS [CA.pem [NAME [PROTOCOL...]]]]
//!         (default localhost:8443 and keys/ca.pem; NAME is the name to expect in the certificate, if not the host's; each PROTOCOL is
//!         an application protocol, ALPN, for the server to choose from)
//! Expect: "the server said: Hello, world!", and exit code 0; otherwise the reason, and exit code 1.

use torsade::prelude::*;
use torsade::react;

struct EchoClient {
    ended: Option<Firer<Reason>>,
}

impl Protocol for EchoClient {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        // Sent after the handshake.
        transport.write("Hello, world!");
        Ok(())
    }

    fn handshake_completed(&mut self, transport: &Transport) -> Result {
        let protocol = transport.negotiated_protocol().unwrap_or_default();
        println!("connected {}", protocol.escape_ascii());
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        println!("the server said: {}", data.escape_ascii());
        transport.lose_connection();
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &Transport, reason: &Reason) -> Result {
        println!("{reason}");
        self.ended.take().ok_or("it was lost before")?.callback(reason.clone());
        Ok(())
    }
}

fn main() -> Result {
    env_logger::init();
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "localhost:8443".into());
    let roots = args.next().unwrap_or_else(|| "keys/ca.pem".into());

    let mut config = TlsClientConfig::builder().roots(TrustRoots::from_pem_file(roots)?);
    if let Some(name) = args.next() {
        config = config.server_name(&name);
    }
    let endpoint = ClientEndpoint::tcp(address)?.tls(&config.application_protocols(args).build()?);
    let reason = react(|reactor| async move {
        let (end, firer) = Deferred::new();
        Ok(reactor.connect_protocol(endpoint, (EchoClient { ended: Some(firer) }, end)).await?.await?)
    })?;
    if reason.is_clean() { Ok(()) } else { Err(reason.into()) }
}
