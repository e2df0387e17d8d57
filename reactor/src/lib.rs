//! Torsade's event loop: time, readiness, threads, signals, and the [`Backend`](spi::Backend), which is the interface to the
//! outside world.
//!
//! This crate knows nothing of connections or byte protocols. It runs a loop; [`Reactor::run`] lists the steps of a turn. Most
//! programs use it through the `torsade` crate.

#![cfg_attr(docsrs, feature(doc_cfg))]
// Where links from the other crates lead if this crate's docs are not built with theirs.
#![doc(html_root_url = "https://docs.rs/torsade-reactor/latest")]

mod address;
mod backend;
pub mod defer;
mod error;
mod escaped;
pub mod event_log;
mod panic;
#[cfg(unix)]
mod poll_now;
mod reactor;
mod report;
mod resolver;
mod task;
mod threads;
mod worlds;

pub use address::{Address, UnixName};
#[cfg(unix)]
pub use backend::Interest;
pub use backend::{
    AtStop, ChildDescriptor, Command, DatagramOptions, Descriptor, Inherited, Keepalive, ListenOptions, MulticastInterface,
    PassedSocket, PeerCredentials, ProcessEnd, ProcessSignal, Signal, SocketDomain, SocketOptions,
};
pub use defer::{
    CallbackResult, Deferred, DeferredError, DeferredHandle, DeferredLock, DeferredPermit, DeferredQueue, DeferredSemaphore,
    Failure, FailureGroup, Firer, FirstError, QueueError, Settled,
};
pub use error::{ReactorError, Result, TimerError};
pub use escaped::Escaped;
pub use panic::Panic;
pub use reactor::delayed_call::DelayedCall;
pub use reactor::reactor_handle::{ReactorGone, ReactorHandle};
pub use reactor::signals::SignalWatch;
pub use reactor::system_event::{Phase, SystemEvent, TriggerId};
#[cfg(unix)]
pub use reactor::watch::Watch;
pub use reactor::{Leftovers, Reactor, TooManyLookUps};
pub use report::report_error;
pub use resolver::{FixedResolver, Resolver, SystemResolver};
pub use task::{CooperativeTask, Cooperator, LoopingCall, Task, TaskError, TaskGroup, react};
pub use threads::BlockingCallError;
pub use threads::workers::{Worker, WorkerError, workers};
pub use worlds::os::reuse_port_listener;
pub use worlds::simulated;
pub use worlds::simulated::clock::Clock;
pub use worlds::simulated::memory::{MemoryError, MemoryPeer, MemoryReactor};

/// For extending Torsade: custom worlds, and custom sources on the loop. Most programs need none of it.
pub mod spi {
    pub use crate::backend::{
        Backend, Child, Datagrams, Direction, Job, Listener, Ready, Resolved, Spawned, Stream, TcpOptions, Token, UdpOptions,
        UnixSocket, Wake, Wakeups,
    };
    pub use crate::error::copy_error;
    pub use crate::panic::catch;
    pub use crate::reactor::source::Source;
    pub use crate::report::drop_quietly;
}
