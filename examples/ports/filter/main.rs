//! A server that sorts, ported: each connection goes through a program of its own. The original is `original.py` beside it.
//!
//! Run:    cargo run --example port_filter [ENDPOINT]     (default 127.0.0.1:8130)
//! Try:    printf 'pear\napple\n' | nc -N 127.0.0.1 8130
//! Expect: the lines, sorted.

use torsade::prelude::*;
use torsade::{ProcessEnd, ProcessSignal};

struct Output(Transport);

impl ProcessProtocol for Output {
    fn out_received(&mut self, _process: &Process, data: &[u8]) -> Result {
        self.0.write(data);
        Ok(())
    }

    fn process_ended(&mut self, _process: &Process, _end: ProcessEnd) -> Result {
        self.0.lose_connection();
        Ok(())
    }
}

/// No `writeConnectionLost`, and no interface to be declared: all protocols may be half-closed.
#[derive(Default)]
struct Filter {
    process: Option<Process>,
}

impl Protocol for Filter {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        // Our environment is handed on unless said otherwise; Twisted's is empty then.
        let command = Command::new("sort").env("LC_ALL", "C");
        self.process = Some(transport.reactor().spawn_process(Output(transport.clone()), command)?);
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        self.process.iter().for_each(|process| process.write(data));
        Ok(())
    }

    fn read_connection_lost(&mut self, _transport: &Transport) -> Result {
        self.process.iter().for_each(Process::close_stdin);
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &Transport, _reason: &Reason) -> Result {
        if let Some(process) = &self.process {
            // Twisted's `except ProcessExitedAlready: pass`.
            process.signal_process(ProcessSignal::TERMINATE).ok();
        }
        Ok(())
    }
}

/// What makes a connection's protocol.
pub fn factory() -> impl Factory {
    |_peer: Address| Filter::default()
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8130".into());
    let reactor = Reactor::new()?;
    let port = reactor.listen(&endpoint, factory())?;
    println!("listening on {}", port.address());
    reactor.run()
}
