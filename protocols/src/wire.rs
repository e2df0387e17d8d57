//! The classic small services: echo, discard, chargen, quote of the day, who, time and daytime.
//!
//! Useful for first steps and for tests. On an open network, some of them are more useful to attackers than to users.

mod chargen;
mod time;

pub use chargen::Chargen;
pub use time::{Daytime, Time};

use torsade_reactor::Result;

use crate::address::Address;
use crate::datagram_protocol::DatagramProtocol;
use crate::datagram_transport::DatagramTransport;
use crate::protocol::Protocol;
use crate::transport::Transport;

/// Sends back whatever it receives (RFC 862).
///
/// # Examples
/// ```
/// use torsade::{testing::StringTransportWithDisconnection, wire::Echo};
///
/// let mut connection = StringTransportWithDisconnection::new(Echo);
/// connection.deliver(b"hello");
/// assert_eq!(connection.value(), b"hello");
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no state")]
pub struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

/// Replies to the sender. Two of them made to talk to each other never stop.
impl DatagramProtocol for Echo {
    fn datagram_received(&mut self, transport: &DatagramTransport, data: &[u8], from: &Address) -> Result {
        transport.write_to(data, from);
        Ok(())
    }
}

/// Discards everything it receives (RFC 863).
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no state")]
pub struct Discard;

impl Protocol for Discard {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

impl DatagramProtocol for Discard {
    fn datagram_received(&mut self, _: &DatagramTransport, _: &[u8], _: &Address) -> Result {
        Ok(())
    }
}

/// Sends a quote of the day and closes (RFC 865).
#[derive(Clone, Debug)]
#[doc(alias = "QOTD")]
pub struct Qotd(Vec<u8>);

impl Qotd {
    /// Sends `quote` unchanged.
    #[doc(alias = "getQuote")]
    #[must_use]
    pub fn new(quote: impl Into<Vec<u8>>) -> Self {
        Self(quote.into())
    }
}

impl Default for Qotd {
    fn default() -> Self {
        Self::new("An apple a day keeps the doctor away.\r\n")
    }
}

impl Protocol for Qotd {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.write(&self.0);
        transport.lose_connection();
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

/// Sends the names of active users and closes (RFC 866).
#[derive(Clone, Debug)]
pub struct Who(Qotd);

impl Who {
    /// Sends `users` unchanged: one per line.
    #[doc(alias = "getUsers")]
    #[must_use]
    pub fn new(users: impl Into<Vec<u8>>) -> Self {
        Self(Qotd::new(users))
    }
}

impl Default for Who {
    fn default() -> Self {
        Self::new("root\r\n")
    }
}

impl Protocol for Who {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.0.connection_made(transport)
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.0.data_received(transport, data)
    }
}
