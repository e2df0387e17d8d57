//! Listening sockets that were opened elsewhere, as the place of an endpoint.

use std::cell::RefCell;
use std::io::{Error, ErrorKind};
use std::rc::Rc;

use torsade_protocols::ListenError;
use torsade_reactor::{Inherited, PassedSocket, Reactor, SocketDomain};

/// A listening socket that can be taken once.
#[derive(Clone, Debug)]
pub(crate) enum InheritedPlace {
    /// A socket of this program, until it is listened on; all clones of the endpoint share it.
    Own(Rc<RefCell<Option<Inherited>>>),
    /// A socket that was passed to this program, and the domain that it must have, if given.
    Passed { socket: PassedSocket, domain: Option<SocketDomain> },
}

impl InheritedPlace {
    pub(crate) fn own(socket: Inherited) -> Self {
        Self::Own(Rc::new(RefCell::new(Some(socket))))
    }

    pub(crate) fn take(&self, reactor: &Reactor) -> Result<Inherited, ListenError> {
        let configuration = |error: Error| ListenError::Configuration(Rc::new(error));
        match self {
            Self::Own(socket) => {
                let used = || Error::new(ErrorKind::AlreadyExists, "this socket is in use: it can be listened on only once");
                socket.take().ok_or_else(|| configuration(used()))
            }
            Self::Passed { socket, domain } => reactor.backend().take_passed(socket, *domain).map_err(configuration),
        }
    }
}

/// Equal if they are, or name, the same socket.
impl PartialEq for InheritedPlace {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Own(one), Self::Own(other)) => Rc::ptr_eq(one, other),
            (Self::Passed { socket, domain }, Self::Passed { socket: other, domain: its }) => socket == other && domain == its,
            _ => false,
        }
    }
}
