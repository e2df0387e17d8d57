//! Twisted's `quotes.py`: a server of quotes, each written by a program.
//!
//! Run:    cargo run --example quotes [ENDPOINT [PROGRAM [ARGUMENT ...]]]     (default 127.0.0.1:5001 and fortune)
//! Try:    nc 127.0.0.1 5001
//! Expect: the program's output; "No quote: ...", with the cause, if it cannot be started.

use torsade::get_process_output;
use torsade::prelude::*;

struct Quoter {
    command: Command,
}

impl Protocol for Quoter {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        let quote = get_process_output(transport.reactor(), self.command.clone());
        let quote = quote.add_errback(|failure| Ok(format!("No quote: {failure}\r\n").into_bytes()));
        let transport = transport.clone();
        let told = quote.add_callback(move |quote| {
            transport.write(quote);
            transport.lose_connection();
        });
        told.detach();
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, _data: &[u8]) -> Result {
        Ok(())
    }
}

fn main() -> Result {
    env_logger::init();
    let mut args = std::env::args().skip(1);
    let endpoint = args.next().unwrap_or_else(|| "127.0.0.1:5001".into());
    let command = Command::new(args.next().unwrap_or_else(|| "fortune".into())).args(args);
    let reactor = Reactor::new()?;
    let port = reactor.listen(&endpoint, move |_peer| Quoter { command: command.clone() })?;
    println!("listening on {}", port.address());
    reactor.run()
}
