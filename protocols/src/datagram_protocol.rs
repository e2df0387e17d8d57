//! What users write: the callbacks of one socket of datagrams.

use std::cell::RefCell;
use std::rc::Rc;

use torsade_reactor::Result;

use crate::address::Address;
use crate::datagram_error::DatagramError;
use crate::datagram_transport::DatagramTransport;

/// The callbacks of one socket of datagrams, from its opening to its close.
///
/// Each datagram comes whole, from whoever has sent it; it may be lost on the way, come twice, or after one that was sent later,
/// and nobody is told. There is no connection and no end.
///
/// The callbacks come from the loop, never from inside a method of the transport. [`start_protocol`](Self::start_protocol) is the
/// first, [`stop_protocol`](Self::stop_protocol) the last, and each comes once. An `Err` or a panic is reported, and the
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
    /// The socket is open, and can be written to. Comes once and first, in the reactor's next turn.
    ///
    /// # Errors
    /// Any error is reported.
    #[doc(alias = "startProtocol")]
    fn start_protocol(&mut self, transport: &DatagramTransport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// A datagram has come; it may be empty. Where it comes from is [`Address::Unnamed`] only for a UNIX socket without a name,
    /// which cannot be answered.
    ///
    /// # Errors
    /// Any error is reported.
    #[doc(alias = "datagramReceived")]
    fn datagram_received(&mut self, transport: &DatagramTransport, data: &[u8], from: &Address) -> Result;

    /// A datagram has come that is longer than [`max_packet_size`](torsade_reactor::DatagramOptions::max_packet_size): `data` is its
    /// beginning, the rest is lost.
    ///
    /// By default that is passed to [`datagram_received`](Self::datagram_received), as Twisted does it; override it to have none but
    /// whole datagrams there. The first of a transport is also reported, and [`DatagramTransport::truncated`] counts all.
    ///
    /// # Errors
    /// Any error is reported.
    fn datagram_truncated(&mut self, transport: &DatagramTransport, data: &[u8], from: &Address) -> Result {
        self.datagram_received(transport, data, from)
    }

    /// Nobody receives where the transport is [connected](DatagramTransport::connect) to, says the host there (or the system, of a
    /// UNIX socket); earlier datagrams are lost. One that is not connected is never told. May come again and again.
    ///
    /// # Errors
    /// Any error is reported.
    #[doc(alias = "connectionRefused")]
    fn connection_refused(&mut self, transport: &DatagramTransport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// Datagrams were dropped instead of sent, the first of them for this reason; [`DatagramTransport::dropped`] counts all.
    ///
    /// Comes at the end of the turn, once for all that were dropped in it. The first of a transport is reported as well. Whoever
    /// sends again what there was no room for should wait a little ([`call_later`](torsade_reactor::Reactor::call_later)): at once,
    /// there is no more room than before, and the loop would do nothing else.
    ///
    /// # Errors
    /// Any error is reported.
    fn write_dropped(&mut self, transport: &DatagramTransport, error: &DatagramError) -> Result {
        let _ = (transport, error);
        Ok(())
    }

    /// The socket is closed, by [`stop_listening`](DatagramTransport::stop_listening) or because the reactor stops. Comes once and
    /// last; the transport is dead: writing does nothing.
    ///
    /// # Errors
    /// Any error is reported.
    #[doc(alias = "stopProtocol")]
    fn stop_protocol(&mut self, transport: &DatagramTransport) -> Result {
        let _ = transport;
        Ok(())
    }
}

/// A protocol that others hold as well. Nobody may keep it borrowed when control goes back to the loop.
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
