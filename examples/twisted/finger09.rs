//! Step 9 of Twisted's finger tutorial: the answer comes from a program.
//!
//! Run:    cargo run --example finger09 [ENDPOINT] [PROGRAM]     (default 127.0.0.1:1079 and finger)
//! Try:    nc -C 127.0.0.1 1079, then a user's name
//! Expect: what `finger NAME` prints, or "Internal error in server" where there is no such program.

use torsade::get_process_output;
use torsade::prelude::*;

struct FingerProtocol {
    program: String,
}

impl LineProtocol for FingerProtocol {
    fn line_received(&mut self, transport: &LineTransport, user: &[u8]) -> Result {
        let user = std::str::from_utf8(user)?;
        if user.starts_with('-') {
            return Err("a name, not an option".into());
        }
        let output = get_process_output(transport.reactor(), Command::new(&self.program).arg(user));
        let transport = transport.clone();
        let answer = output.add_errback(|failure| {
            log::error!("finger failed: {failure}");
            Ok(b"Internal error in server".to_vec())
        });
        let answered = answer.add_callback(move |message| {
            transport.send_line(message);
            transport.lose_connection();
        });
        answered.detach();
        Ok(())
    }
}

/// Starts the server on any reactor.
pub fn start(reactor: &Reactor, endpoint: &str, program: &str) -> Result<Port> {
    let program = program.to_owned();
    Ok(reactor.listen(endpoint, move |_peer| LineReceiver::new(FingerProtocol { program: program.clone() }))?)
}

fn main() -> Result {
    env_logger::init();
    let mut args = std::env::args().skip(1);
    let endpoint = args.next().unwrap_or_else(|| "127.0.0.1:1079".into());
    let reactor = Reactor::new()?;
    start(&reactor, &endpoint, &args.next().unwrap_or_else(|| "finger".into()))?;
    reactor.run()
}
