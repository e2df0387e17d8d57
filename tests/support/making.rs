//! Connections without a port: a pair of ends, one for a test's plain peer and one that the reactor adopts.

use std::cell::RefCell;
use std::io::{PipeReader, PipeWriter, Write, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::{Rc, Weak};

use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio::{dup2_stdin, dup2_stdout, stdin, stdout};
use torsade::ReactorHandle;
use torsade::prelude::*;

use super::kind::Kind;
use super::peer::Peer;

type SharedFactory = Rc<RefCell<dyn Factory>>;

thread_local! {
    /// The factories that build the protocols, on their reactor's thread.
    static FACTORIES: RefCell<Vec<Weak<RefCell<dyn Factory>>>> = const { RefCell::new(Vec::new()) };
}

/// Makes connections of one kind on one reactor, from any thread.
#[derive(Clone)]
pub struct Maker {
    kind: Kind,
    reactor: ReactorHandle,
    /// Which factory of the reactor's thread.
    factory: usize,
}

enum End {
    Pipes(PipeReader, PipeWriter),
    Socket(OwnedFd),
}

impl Maker {
    /// The factory builds protocols until the returned handle is dropped.
    pub fn new(kind: Kind, reactor: &Reactor, factory: impl Factory + 'static) -> (Self, SharedFactory) {
        let shared: SharedFactory = Rc::new(RefCell::new(factory));
        let factory = FACTORIES.with_borrow_mut(|factories| {
            factories.push(Rc::downgrade(&shared));
            factories.len() - 1
        });
        (Self { kind, reactor: reactor.handle(), factory }, shared)
    }

    pub fn connect(&self) -> Peer {
        let (peer, end) = match self.kind {
            Kind::Tcp | Kind::Unix => panic!("it comes from a port"),
            Kind::StdioPipes => {
                let ((input, to), (from, output)) = (pipe().expect("a pipe"), pipe().expect("a pipe"));
                (Peer::of_pipes(from, to), End::Pipes(input, output))
            }
            Kind::Pair | Kind::StdioSocket => {
                let (peer, end) = UnixStream::pair().expect("a pair");
                (Peer::from(peer), End::Socket(end.into()))
            }
        };
        let (kind, factory) = (self.kind, self.factory);
        self.reactor.call_from_thread(move |reactor| make(reactor, kind, end, factory)).expect("the reactor has not ended");
        peer
    }
}

fn make(reactor: &Reactor, kind: Kind, end: End, factory: usize) {
    let Some(factory) = FACTORIES.with_borrow(|factories| factories[factory].upgrade()) else { return };
    let protocol = factory.borrow_mut().build_protocol(&Address::Unnamed).expect("a protocol");
    match (kind, end) {
        (Kind::Pair, End::Socket(socket)) => {
            reactor.adopt_stream_connection(socket, protocol).expect("it is connected");
        }
        (Kind::StdioPipes | Kind::StdioSocket, end) => {
            become_standard(&end);
            reactor.standard_io(protocol).expect("nothing else has standard input and output");
        }
        (kind, _) => panic!("{kind:?} is not made that way"),
    }
}

/// Replaces standard input and output by an end.
fn become_standard(end: &End) {
    // Otherwise the test harness's output would go to the connection.
    std::io::stdout().flush().expect("there is a standard output");
    match end {
        End::Pipes(input, output) => dup2_stdin(input).and_then(|()| dup2_stdout(output)),
        End::Socket(socket) => dup2_stdin(socket).and_then(|()| dup2_stdout(socket)),
    }
    .expect("descriptors can be copied");
}

/// Standard input and output of this process, restored when dropped.
pub struct Standard {
    input: OwnedFd,
    output: OwnedFd,
}

impl Standard {
    pub fn keep() -> Self {
        let copy = |descriptor| fcntl_dupfd_cloexec(descriptor, 3).expect("the process has it");
        Self { input: copy(stdin()), output: copy(stdout()) }
    }
}

impl Drop for Standard {
    fn drop(&mut self) {
        dup2_stdin(&self.input).and_then(|()| dup2_stdout(&self.output)).expect("descriptors can be copied");
    }
}
