//! What the rest of a program gets from a connection.

use crate::protocol::Protocol;
use crate::transport::Transport;

/// Makes a handle once the connection is established.
pub type MakeHandle<H> = Box<dyn FnOnce(&Transport) -> H>;

/// A protocol, and what the rest of the program gets once its connection can be used.
///
/// A protocol alone offers its [`Transport`]. A pair of protocol and handle offers the handle: a value that shares state with the
/// protocol, so that the rest of the program can ask the protocol for things.
///
/// # Examples
/// A protocol and the Deferred that it fires:
/// ```
/// use torsade::{prelude::*, simulated::Simulation, wire::Qotd};
///
/// struct FirstLine(Option<Firer<Vec<u8>>>);
///
/// impl LineProtocol for FirstLine {
///     fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
///         transport.lose_connection();
///         self.0.take().ok_or("a second line")?.callback(line.to_vec());
///         Ok(())
///     }
/// }
///
/// async fn quote(reactor: &Reactor) -> Result<Vec<u8>> {
///     let (quote, firer) = Deferred::new();
///     let protocol = LineReceiver::new(FirstLine(Some(firer)));
///     let quote = reactor.connect_protocol("10.0.0.1:17", (protocol, quote)).await?;
///     Ok(quote.await?)
/// }
///
/// let simulation = Simulation::new(1);
/// simulation.host("10.0.0.1").listen("tcp:17", |_peer| Qotd::new("all is well\r\n"))?;
/// let client = simulation.host("10.0.0.2");
/// let reactor = client.clone();
/// client.spawn(async move {
///     assert_eq!(quote(&reactor).await?, b"all is well");
///     Ok(())
/// });
/// simulation.run_for(std::time::Duration::from_secs(1))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Offer: 'static {
    /// What the rest of the program gets.
    type Handle: 'static;

    /// Returns the protocol and a function that makes the handle once the connection is established.
    fn into_parts(self) -> (Box<dyn Protocol>, MakeHandle<Self::Handle>);
}

impl<P: Protocol + 'static> Offer for P {
    type Handle = Transport;

    fn into_parts(self) -> (Box<dyn Protocol>, MakeHandle<Transport>) {
        (Box::new(self), Box::new(Transport::clone))
    }
}

impl<P: Protocol + 'static, H: 'static> Offer for (P, H) {
    type Handle = H;

    fn into_parts(self) -> (Box<dyn Protocol>, MakeHandle<H>) {
        let (protocol, handle) = self;
        (Box::new(protocol), Box::new(move |_| handle))
    }
}
