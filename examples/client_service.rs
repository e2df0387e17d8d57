//! A client that stays connected: a service that connects again whenever the connection is lost.
//!
//! Run:    cargo run --example client_service [ENDPOINT]     (default 127.0.0.1:8000)
//! Try:    start `echo_server`, before or after, stop it, and start it again
//! Expect: "connected", and a line back each second; "lost: ..." when the server stops; ^C ends it, with exit code 0.

use std::time::Duration;

use torsade::prelude::*;
use torsade::service::{ClientService, run_service_on};
use torsade::{DeferredError, Escaped};

struct Printer;

impl LineProtocol for Printer {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        println!("connected to {}", transport.peer());
        Ok(())
    }

    fn line_received(&mut self, _transport: &LineTransport, line: &[u8]) -> Result {
        println!("the server said: {}", Escaped(String::from_utf8_lossy(line)));
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, reason: &Reason) -> Result {
        println!("lost: {reason}");
        Ok(())
    }
}

/// Says a line each second, or as soon as there is a connection again.
async fn speak(reactor: Reactor, client: ClientService) -> Result {
    for number in 1.. {
        match client.when_connected(None).await {
            Ok(transport) => transport.write(format!("line {number}\r\n")),
            // The service was stopped.
            Err(failure) => return failure.trap::<DeferredError>().map(drop).map_err(Into::into),
        }
        reactor.sleep(Duration::from_secs(1)).await?;
    }
    Ok(())
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".into());
    let reactor = Reactor::new()?;
    let client = ClientService::new(&*endpoint, |_peer| LineReceiver::new(Printer))?;
    reactor.spawn(speak(reactor.clone(), client.clone()));
    run_service_on(&reactor, client, Duration::from_secs(5))
}
