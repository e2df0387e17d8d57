//! The callbacks of a datagram socket, which users implement.

use std::cell::RefCell;
use std::rc::Rc;

use torsade_reactor::Result;

use crate::address::Address;
use crate::datagram_error::DatagramError;
use crate::datagram_transport::DatagramTransport;

/// The callbacks of a datagram socket, from opening to close.
///
/// Each datagram arrives whole, from any sender. It may be lost, duplicated or reordered on the way without notice. There is no
/// connection and no end of stream.
///
/// Callbacks come from the loop, never from inside a method of the transport. [`start_protocol`](Self::start_protocol) is the
/// first, [`stop_protocol`](Self::stop_protocol) the last, and each is called once. An `Err` or a panic is reported and the
/// socket stays open: one peer's bad datagram must not end the service for all.
///
/// # Examples
/// ```
/// use torsade::prelude::*;
///
/// struct Echo;
///
/// impl DatagramProtocol for Echo {
///     fn datagram_received(&mut self, transport: &DatagramTransport, data: &[u8], from: &Address) -> Result {
///         transport.write_to(data, from);
///         Ok(())
///     }
/// }
///
/// let reactor = Reactor::new()?;
/// let transport = reactor.listen_udp("127.0.0.1:0", Echo)?;
/// assert_ne!(transport.host().port(), Some(0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "AbstractDatagramProtocol")]
#[doc(alias = "ConnectedDatagramProtocol")]
pub trait DatagramProtocol {
    /// The socket is open and can be written to. Called once, first, in the reactor's next turn.
    ///
    /// # Errors
    /// Any error is reported.
    #[doc(alias = "startProtocol")]
    fn start_protocol(&mut self, transport: &DatagramTransport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// A datagram arrived; it may be empty. `from` is [`Address::Unnamed`] only for a UNIX socket without a name, which cannot be
    /// answered.
    ///
    /// # Errors
    /// Any error is reported.
    #[doc(alias = "datagramReceived")]
    fn datagram_received(&mut self, transport: &DatagramTransport, data: &[u8], from: &Address) -> Result;

    /// A datagram arrived that is longer than [`max_packet_size`](torsade_reactor::DatagramOptions::max_packet_size): `data` is
    /// its beginning, the rest is lost.
    ///
    /// The default passes `data` to [`datagram_received`](Self::datagram_received), as Twisted does. Override it to receive only
    /// whole datagrams there. The first truncation of a transport is also reported, and [`DatagramTransport::truncated`] counts
    /// all.
    ///
    /// # Errors
    /// Any error is reported.
    fn datagram_truncated(&mut self, transport: &DatagramTransport, data: &[u8], from: &Address) -> Result {
        self.datagram_received(transport, data, from)
    }

    /// Nothing receives at the address this transport is [connected](DatagramTransport::connect) to, as reported by the peer's
    /// host (for a UNIX socket, by the system); earlier datagrams are lost. Only connected transports are told. May be called
    /// repeatedly.
    ///
    /// # Errors
    /// Any error is reported.
    #[doc(alias = "connectionRefused")]
    fn connection_refused(&mut self, transport: &DatagramTransport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// Datagrams were dropped instead of sent; `error` is why the first of them was. [`DatagramTransport::dropped`] counts all.
    ///
    /// Called at the end of a turn, once for all datagrams dropped in it. The first drop of a transport is reported as well. If
    /// there was no room, wait a little before sending again ([`call_later`](torsade_reactor::Reactor::call_later)): there is no
    /// more room right now, and retrying at once would keep the loop busy.
    ///
    /// # Errors
    /// Any error is reported.
    fn write_dropped(&mut self, transport: &DatagramTransport, error: &DatagramError) -> Result {
        let _ = (transport, error);
        Ok(())
    }

    /// The socket is closed, by [`stop_listening`](DatagramTransport::stop_listening) or because the reactor stops. Called once,
    /// last. Writing to the transport now does nothing.
    ///
    /// # Errors
    /// Any error is reported.
    #[doc(alias = "stopProtocol")]
    fn stop_protocol(&mut self, transport: &DatagramTransport) -> Result {
        let _ = transport;
        Ok(())
    }
}

/// A shared protocol. It must not stay borrowed when control returns to the loop.
impl<P: DatagramProtocol + ?Sized> DatagramProtocol for Rc<RefCell<P>> {
    fn start_protocol(&mut self, transport: &DatagramTransport) -> Result {
        self.borrow_mut().start_protocol(transport)
    }

    fn datagram_received(&mut self, transport: &DatagramTransport, data: &[u8], from: &Address) -> Result {
        self.borrow_mut().datagram_received(transport, data, from)
    }

    fn datagram_truncated(&mut self, transport: &DatagramTransport, data: &[u8], from: &Address) -> Result {
        self.borrow_mut().datagram_truncated(transport, data, from)
    }

    fn connection_refused(&mut self, transport: &DatagramTransport) -> Result {
        self.borrow_mut().connection_refused(transport)
    }

    fn write_dropped(&mut self, transport: &DatagramTransport, error: &DatagramError) -> Result {
        self.borrow_mut().write_dropped(transport, error)
    }

    fn stop_protocol(&mut self, transport: &DatagramTransport) -> Result {
        self.borrow_mut().stop_protocol(transport)
    }
}
