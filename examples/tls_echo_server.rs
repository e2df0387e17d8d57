//! A TLS echo server; a port of Twisted's echoserv_ssl.
//!
//! Run:    cargo run --features tls --example tls_echo_server [ADDRESS [CERT.pem KEY.pem [PROTOCOL...]]]
//!         (default 127.0.0.1:8443, keys/server.pem and keys/server.key, which make_keys makes; each PROTOCOL is an application
//!         protocol, ALPN, for a client to choose from)
//! Try:    openssl s_client -connect 127.0.0.1:8443 -CAfile keys/ca.pem, then type; or tls_echo_client
//! Expect: each line comes back. It prints who has connected, and what the handshake negotiated.

use torsade::prelude::*;

struct Echo;

impl Protocol for Echo {
    fn handshake_completed(&mut self, transport: &Transport) -> Result {
        let info = transport.tls_info().ok_or("no TLS")?;
        let protocol = info.negotiated_protocol.unwrap_or_default();
        println!("{}: {}, {} {}", transport.peer(), info.version, info.cipher_suite, protocol.escape_ascii());
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }

    fn connection_lost(&mut self, transport: &Transport, reason: &Reason) -> Result {
        println!("{}: {reason}", transport.peer());
        Ok(())
    }
}

fn main() -> Result {
    env_logger::init();
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:8443".into());
    let certificate = args.next().unwrap_or_else(|| "keys/server.pem".into());
    let key = args.next().unwrap_or_else(|| "keys/server.key".into());

    let certificate = PrivateCertificate::from_pem_files(certificate, key)?;
    let config = TlsServerConfig::builder().certificate(certificate).application_protocols(args).build()?;
    let reactor = Reactor::new()?;
    let port = reactor.listen_tls(address, &config, |_peer| Echo)?;
    println!("listening on {}", port.address());
    reactor.run()
}
