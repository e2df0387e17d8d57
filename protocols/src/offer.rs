//! What the rest of a program gets of a connection.

use crate::protocol::Protocol;
use crate::transport::Transport;

/// Makes a handle once the connection is there.
pub type MakeHandle<H> = Box<dyn FnOnce(&Transport) -> H>;

/// A protocol, and what the rest of the program gets of it once its connection is there to be used.
///
/// A protocol alone offers its [`Transport`]. A pair of a protocol and a handle offers the handle: whatever the two share, so that
/// the rest of the program can ask the protocol for things.
pub trait Offer: 'static {
    /// What is given to the rest of the program.
    type Handle: 'static;

    /// Takes the two apart; the handle is made when the connection is there.
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
