//! Listening sockets that somebody else has opened, as a place of an endpoint.

use std::cell::RefCell;
use std::fmt;
use std::io::{Error, ErrorKind};
use std::rc::Rc;

use torsade_protocols::ListenError;
use torsade_reactor::{Inherited, PassedSocket, Reactor, SocketDomain};

/// A listening socket, which is taken once.
#[derive(Clone, Debug)]
pub(crate) enum InheritedPlace {
    /// One of this program's, until it is listened on; all copies of the endpoint share it.
    Own(Rc<RefCell<Option<Inherited>>>),
    /// One that was passed to this program, and what it has to be, if that was said.
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
                let used = || Error::new(ErrorKind::AlreadyExists, "this socket is listened on already, and can be once");
                socket.take().ok_or_else(|| configuration(used()))
            }
            Self::Passed { socket, domain } => reactor.backend().take_passed(socket, *domain).map_err(configuration),
        }
    }
}

impl fmt::Display for InheritedPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(_) => f.write_str("<an inherited socket>"),
            Self::Passed { socket, .. } => socket.fmt(f),
        }
    }
}
