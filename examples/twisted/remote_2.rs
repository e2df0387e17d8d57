//! Twisted's `trial/calculus/remote_2.py`: a calculator with a line protocol, which reports errors to the client.
//!
//! Run:    cargo run --example remote_2 [ENDPOINT]     (default 127.0.0.1:8888)
//! Try:    nc -C 127.0.0.1 8888, then: add 1 2
//! Expect: 3; "error" for anything but a number; the connection is closed on any other command.

use torsade::prelude::*;

struct RemoteCalculation;

fn calculate(operation: &str, a: i128, b: i128) -> Result<i128> {
    let result = match operation {
        "add" => a.checked_add(b),
        "subtract" => a.checked_sub(b),
        "multiply" => a.checked_mul(b),
        // Rounded down, as Python does.
        "divide" => a.checked_div_euclid(b).map(|result| if b < 0 && a.rem_euclid(b) != 0 { result - 1 } else { result }),
        other => return Err(format!("there is no operation {other}").into()),
    };
    Ok(result.ok_or("no result, or one that is too large")?)
}

impl LineProtocol for RemoteCalculation {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        let words: Vec<&str> = std::str::from_utf8(line)?.split_whitespace().collect();
        let [operation, a, b] = words[..] else { return Err("not an operation and two numbers".into()) };
        match (a.parse(), b.parse()) {
            (Ok(a), Ok(b)) => transport.send_line(calculate(operation, a, b)?.to_string()),
            _ => transport.send_line("error"),
        }
        Ok(())
    }
}

/// Starts the server on any reactor.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    Ok(reactor.listen(endpoint, |_peer| LineReceiver::new(RemoteCalculation))?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8888".into());
    let reactor = Reactor::new()?;
    println!("listening on {}", start(&reactor, &endpoint)?.address());
    reactor.run()
}
