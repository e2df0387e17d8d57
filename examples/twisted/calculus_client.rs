//! Twisted's `trial/calculus/client_3.py`: if an answer does not arrive in time, all fail and the connection is closed.
//!
//! Run:    cargo run --example calculus_client [ENDPOINT]     (default 127.0.0.1:8888; start remote_2 first)
//! Expect: 7 + 6 = 13, and so on.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::{defer, react};

type Results = Rc<RefCell<VecDeque<Firer<i64>>>>;

/// How long the peer may be silent while a question is open.
pub const TIME_OUT: Duration = Duration::from_secs(60);

/// The calculator sent nothing for [`TIME_OUT`].
#[derive(Debug)]
pub struct ClientTimeoutError;

impl fmt::Display for ClientTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the calculator did not answer within {TIME_OUT:?}")
    }
}

impl std::error::Error for ClientTimeoutError {}

/// A remote calculator: a cheap handle that is also its own protocol.
#[derive(Clone, Debug)]
pub struct RemoteCalculationClient {
    transport: Rc<RefCell<Option<LineTransport>>>,
    /// Answers come in the order of the questions.
    results: Results,
    timeout: Rc<TimeoutMixin>,
}

impl Default for RemoteCalculationClient {
    fn default() -> Self {
        let results = Results::default();
        let waiting = results.clone();
        let timeout = TimeoutMixin::with(move |transport| {
            let waiting = waiting.take();
            for firer in waiting {
                firer.errback(ClientTimeoutError);
            }
            transport.lose_connection();
        });
        Self { transport: Rc::default(), results, timeout: Rc::new(timeout) }
    }
}

impl RemoteCalculationClient {
    /// Requests the sum, difference, product or quotient of `a` and `b`.
    pub fn calculate(&self, operation: &str, a: i64, b: i64) -> Deferred<i64> {
        let transport = self.transport.borrow();
        let Some(transport) = &*transport else { return defer::fail("not connected") };
        transport.send_line(format!("{operation} {a} {b}"));
        let (deferred, firer) = Deferred::new();
        self.results.borrow_mut().push_back(firer);
        self.timeout.set_timeout(transport, Some(TIME_OUT));
        deferred
    }
}

impl LineProtocol for RemoteCalculationClient {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        self.transport.replace(Some(transport.clone()));
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        self.timeout.set_timeout(transport, None);
        let answer = std::str::from_utf8(line)?.parse()?;
        // Taken out first, since the callbacks may ask the next question.
        let firer = self.results.borrow_mut().pop_front();
        firer.ok_or("an answer that nobody asked for")?.callback(answer);
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, _reason: &Reason) -> Result {
        self.transport.take();
        // Dropping the firers fails their Deferreds.
        drop(self.results.take());
        Ok(())
    }
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8888".into());
    react(|reactor| async move {
        let client = RemoteCalculationClient::default();
        let protocol = LineReceiver::new(client.clone());
        let client = reactor.connect_protocol(&endpoint, (protocol, client)).await?;
        for (operation, sign, a, b) in [("add", '+', 7, 6), ("subtract", '-', 82, 78), ("multiply", '*', 2, 8)] {
            println!("{a} {sign} {b} = {}", client.calculate(operation, a, b).await?);
        }
        Ok(())
    })
}
