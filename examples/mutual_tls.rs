//! Both sides present a certificate; ports of Twisted's ssl_clientauth_server and ssl_clientauth_client.
//!
//! Run:    cargo run --features tls --example mutual_tls server [ADDRESS [CERT.pem KEY.pem CA.pem]]
//!         cargo run --features tls --example mutual_tls client [ADDRESS [CERT.pem KEY.pem CA.pem [NAME]]]
//!         (default localhost:8443, 127.0.0.1:8443 for the server, and the files of make_keys in keys/)
//! Expect: the server prints how many certificates it was shown, and echoes; a client without one is refused.

use torsade::prelude::*;

/// Sends back what it receives; or sends hello first, and closes after the answer.
struct Echo {
    hello: Option<&'static str>,
}

impl Protocol for Echo {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.write(self.hello.unwrap_or_default());
        Ok(())
    }

    fn handshake_completed(&mut self, transport: &Transport) -> Result {
        println!("{} has shown {} certificates", transport.peer(), transport.peer_certificates().len());
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        if self.hello.is_some() {
            println!("the server said: {}", data.escape_ascii());
            transport.lose_connection();
        } else {
            transport.write(data);
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &Transport, reason: &Reason) -> Result {
        println!("{}: {reason}", transport.peer());
        if self.hello.is_some() { Ok(transport.reactor().stop()?) } else { Ok(()) }
    }
}

fn main() -> Result {
    env_logger::init_from_env(env_logger::Env::new().default_filter_or("warn")); // says why there is no connection
    let args: Vec<String> = std::env::args().collect();
    let serve = args.get(1).is_some_and(|role| role == "server");
    let own = if serve { "server" } else { "client" };
    let argument = |at: usize, or: String| args.get(at).cloned().unwrap_or(or);
    let address = argument(2, if serve { "127.0.0.1:8443" } else { "localhost:8443" }.into());
    let certificate =
        PrivateCertificate::from_pem_files(argument(3, format!("keys/{own}.pem")), argument(4, format!("keys/{own}.key")))?;
    let roots = TrustRoots::from_pem_file(argument(5, "keys/ca.pem".into()))?;

    let reactor = Reactor::new()?;
    if serve {
        let config = TlsServerConfig::builder().certificate(certificate).require_client_certificates(roots).build()?;
        let port = reactor.listen_tls(address, &config, |_peer| Echo { hello: None })?;
        println!("listening on {}", port.address());
    } else {
        let mut config = TlsClientConfig::builder().roots(roots).certificate(certificate);
        if let Some(name) = args.get(6) {
            config = config.server_name(name);
        }
        reactor.connect_tls(address, &config.build()?, |_peer| Echo { hello: Some("Hello, world!") })?;
    }
    reactor.run()
}
