//! The event log: what a reactor dispatched, one event per line.
//!
//! A reactor tells its observer ([`Reactor::set_observer`](crate::Reactor::set_observer)) of each callback just before it is
//! made. A simulation collects the events of all its hosts in a [`Log`]. A log's text format is the same for every reader: an
//! inspector, a comparison of two runs, a program in another language.
//!
//! # The format, version 1
//!
//! UTF-8 lines, each ended by one line feed. The first is `torsade-events 1`. Each further line is an event, in the order of
//! dispatching, with fields separated by one space:
//!
//! ```text
//! 10.0.0.1 3 0.000251731 connection/1/10.0.0.2:49152 data_received bytes=5 hash=a430d84680aabd0b
//! ```
//!
//! | field | content |
//! |---|---|
//! | host | the name of the host, its IP address in a simulation; `-` if it has none |
//! | turn | the number of the turn, decimal; 0 before the first |
//! | time | seconds on the reactor's clock, with nine decimals |
//! | subject | what the callback belongs to, see below |
//! | callback | its name: `data_received`, `called`, ... |
//! | details | any of `bytes=` (decimal), `hash=` (16 hexadecimal digits), `reason=`, in this order |
//!
//! A subject consists of a kind and its parts, separated by `/`:
//!
//! | subject | of | callbacks |
//! |---|---|---|
//! | `connection/ID/PEER` | a connection, by `Transport::id` and the peer's address | those of `Protocol` |
//! | `connector/DESTINATION` | an outgoing connection attempt, by its destination | those of `ClientFactory` |
//! | `process/PID` | a child process, by its process id | those of `ProcessProtocol` |
//! | `port/ADDRESS` | a listening port, by its address | those of `Factory` |
//! | `reactor` | the reactor itself | `signal` with its name as the reason |
//! | `thread` | a call from another thread, including the end of a thread's job or look-up | `called` |
//! | `timer/N` | a delayed call; N counts the calls made, from 0 | `called` |
//! | `trigger/PHASE/EVENT` | `before`, `during`, `after`; `startup`, `shutdown` | `called` |
//!
//! If a call ends in a panic that the reactor catches, `panicked` follows for the same subject.
//!
//! In fields and in parts of a subject, each byte up to 0x20, 0x7f and `%` are written as `%` and two upper-case hexadecimal
//! digits; in parts, so is `/`. The hash is 64-bit FNV-1a of the bytes that the callback got (offset basis `cbf29ce484222325`,
//! prime `100000001b3`). Readers skip unknown details; any other addition requires a new version.

mod event;
mod log;
mod text;

pub use event::{Event, Subject, fingerprint};
pub use log::{Entry, Log};
pub use text::ParseLogError;
