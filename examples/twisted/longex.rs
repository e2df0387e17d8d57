//! Twisted's `longex.py`: a long calculation in small pieces, so that no connection waits for another's.
//!
//! Run:    cargo run --example longex [ENDPOINT]     (default 127.0.0.1:1234)
//! Try:    nc -C 127.0.0.1 1234, then: 123456789 987654321 1000000007
//! Expect: the product; "Error." for anything but a list of numbers.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;

/// A number of any size: its sign, and its decimal digits from the last to the first.
#[derive(Clone)]
struct Number(bool, Vec<u8>);

impl Number {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        is_number.then(|| Self(text.starts_with('-'), digits.bytes().rev().map(|digit| digit - b'0').collect()))
    }

    fn times(&self, other: &Self) -> Self {
        let mut product = vec![0; self.1.len() + other.1.len()];
        for (i, a) in self.1.iter().enumerate() {
            for (j, b) in other.1.iter().enumerate() {
                // Ten in one place carry one to the next, which stays below ten until it is processed.
                let sum = product[i + j] + a * b;
                product[i + j] = sum % 10;
                product[i + j + 1] += sum / 10;
            }
        }
        Self(self.0 != other.0, product)
    }

    fn text(&self) -> String {
        let digits: String = self.1.iter().rev().skip_while(|digit| **digit == 0).map(|digit| char::from(b'0' + digit)).collect();
        if digits.is_empty() { "0".into() } else { format!("{}{digits}", if self.0 { "-" } else { "" }) }
    }
}

#[derive(Clone, Default)]
struct LongMultiplication(Rc<RefCell<VecDeque<VecDeque<Number>>>>);

impl LineProtocol for LongMultiplication {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        let numbers: Option<VecDeque<Number>> = String::from_utf8_lossy(line).split_whitespace().map(Number::parse).collect();
        match numbers {
            Some(numbers) if numbers.len() > 1 => {
                self.0.borrow_mut().push_back(numbers);
                self.clone().calculate_later(transport.clone());
            }
            _ => transport.send_line("Error."),
        }
        Ok(())
    }
}

impl LongMultiplication {
    fn calculate_later(self, transport: LineTransport) {
        transport.reactor().clone().call_later(Duration::ZERO, move || self.calculate_chunk(transport));
    }

    /// Does the first remaining multiplication, and sends the result after the last.
    fn calculate_chunk(self, transport: LineTransport) {
        let mut queue = self.0.borrow_mut();
        let Some(work) = queue.front_mut() else { return };
        if let (Some(a), Some(b)) = (work.pop_front(), work.pop_front()) {
            work.push_front(a.times(&b));
        }
        if let [result] = work.make_contiguous() {
            transport.send_line(result.text());
            queue.pop_front();
        }
        let more = !queue.is_empty() && transport.is_connected();
        drop(queue);
        if more {
            self.calculate_later(transport);
        }
    }
}

/// Starts the server on any reactor.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    Ok(reactor.listen(endpoint, |_peer| LineReceiver::new(LongMultiplication::default()))?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:1234".into());
    let reactor = Reactor::new()?;
    start(&reactor, &endpoint)?;
    reactor.run()
}
