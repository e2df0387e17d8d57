//! Torsade's event loop: time, readiness, threads, signals, and the [`Backend`] through which all of the outside world
//! comes in.
//!
//! This crate does not know what a connection or a byte protocol is. It turns: see [`Reactor::run`] for the steps of a
//! turn, by number. Most programs use it through the `torsade` crate.

#![cfg_attr(docsrs, feature(doc_cfg))]
// Where links from the other crates lead, if this one is not documented beside them.
#![doc(html_root_url = "https://docs.rs/torsade-reactor/latest")]

mod backend;
mod clock;
pub mod defer;
mod delayed_call;
mod error;
mod escaped;
pub mod event_log;
mod memory;
mod observers;
mod os;
mod panic;
mod reactor;
mod reactor_handle;
mod report;
pub mod simulated;
mod source;
mod system_event;
mod task;
mod threads;
mod timer_queue;
mod workers;

pub use backend::{Backend, Job, Listener, Resolved, Signal, Stream, Wake, Wakeups};
pub use clock::Clock;
pub use defer::{
    CallbackResult, Deferred, DeferredError, DeferredHandle, DeferredLock, DeferredPermit, DeferredQueue, DeferredSemaphore,
    Failure, FailureGroup, Firer, FirstError, QueueError, Settled,
};
pub use delayed_call::DelayedCall;
pub use error::{ReactorError, Result, TimerError};
pub use escaped::Escaped;
pub use memory::{MemoryError, MemoryPeer, MemoryReactor};
pub use os::reuse_port_listener;
pub use panic::{Panic, catch, drop_quietly};
pub use reactor::{Leftovers, LookUp, Reactor, TooManyLookUps};
pub use reactor_handle::{ReactorGone, ReactorHandle};
pub use report::report_error;
pub use source::{Ready, Source, Token};
pub use system_event::{Phase, SystemEvent, TriggerId};
pub use task::{CooperativeTask, Cooperator, LoopingCall, Task, TaskError, TaskGroup, react};
pub use threads::BlockingCallError;
pub use workers::{Worker, WorkerError, workers};
