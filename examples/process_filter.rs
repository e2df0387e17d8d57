//! A server that passes each connection through a program: the client's bytes are its input, and its output goes back.
//!
//! Run:    cargo run --example process_filter [ENDPOINT [PROGRAM [ARGUMENT ...]]]     (default 127.0.0.1:8007 and sort)
//! Try:    printf 'pear\napple\n' | nc -N 127.0.0.1 8007
//! Expect: the lines, sorted; a peer that reads slowly slows the program down, and a slow program the peer.

use torsade::prelude::*;
use torsade::{ChildDescriptor, ProcessEnd, ProcessSignal};

/// A connection, whose bytes are the program's input.
struct Filter {
    command: Command,
    process: Option<Process>,
}

impl Protocol for Filter {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        let process = transport.reactor().spawn_process(Output(transport.clone()), self.command.clone())?;
        if let (Some(stdin), Some(stdout)) = (process.stream(0), process.stream(1)) {
            stdin.register_producer(transport.clone(), true)?;
            transport.register_producer(stdout, true)?;
        }
        self.process = Some(process);
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        if let Some(process) = &self.process {
            process.write(data);
        }
        Ok(())
    }

    fn read_connection_lost(&mut self, _transport: &Transport) -> Result {
        if let Some(process) = &self.process {
            process.close_stdin();
        }
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &Transport, _reason: &Reason) -> Result {
        if let Some(process) = self.process.take() {
            // An error means that it has already ended.
            process.signal_process(ProcessSignal::TERMINATE).ok();
        }
        Ok(())
    }
}

/// Writes the program's output to its connection.
struct Output(Transport);

impl ProcessProtocol for Output {
    fn out_received(&mut self, _process: &Process, data: &[u8]) -> Result {
        self.0.write(data);
        Ok(())
    }

    fn process_ended(&mut self, _process: &Process, end: ProcessEnd) -> Result {
        log::info!("the program {end}");
        self.0.lose_connection();
        Ok(())
    }
}

fn main() -> Result {
    env_logger::init();
    let mut args = std::env::args().skip(1);
    let endpoint = args.next().unwrap_or_else(|| "127.0.0.1:8007".into());
    let program = args.next().unwrap_or_else(|| "sort".into());
    // The program shares this server's standard error.
    let command = Command::new(program).args(args).stderr(ChildDescriptor::Inherited);
    let reactor = Reactor::new()?;
    let port = reactor.listen(&endpoint, move |_peer| Filter { command: command.clone(), process: None })?;
    println!("listening on {}", port.address());
    reactor.run()
}
