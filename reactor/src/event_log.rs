//! The event log: what a reactor dispatched, one line an event.
//!
//! A reactor tells its observer ([`Reactor::set_observer`](crate::Reactor::set_observer)) of each callback just before it
//! is made. A simulation collects the events of all its hosts in a [`Log`]. The text of a log has one format for whatever reads it:
//! an inspector, a comparison of two runs, a program in another language.
//!
//! # The format, version 1
//!
//! UTF-8 lines, each ended by one line feed. The first is `torsade-events 1`. Each further line is an event, in the order
//! of dispatching, of fields separated by one space:
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
//! A subject is a kind and its parts, separated by `/`:
//!
//! | subject | of | callbacks |
//! |---|---|---|
//! | `connection/ID/PEER` | a connection, by `Transport::id` and the peer's address | those of `Protocol` |
//! | `connector/DESTINATION` | whoever makes outgoing connections, by where they go | those of `ClientFactory` |
//! | `process/PID` | a child process, by its number in the system | those of `ProcessProtocol` |
//! | `port/ADDRESS` | a listening port, by its address | those of `Factory` |
//! | `reactor` | the reactor itself | `signal` with its name as the reason |
//! | `thread` | a call from another thread, also the end of a thread's job or look-up | `called` |
//! | `timer/N` | a delayed call; N counts the calls made, from 0 | `called` |
//! | `trigger/PHASE/EVENT` | `before`, `during`, `after`; `startup`, `shutdown` | `called` |
//!
//! Where a call ends in a panic that the reactor catches, `panicked` follows for the same subject.
//!
//! In a field, and in a part of a subject, each byte up to 0x20, 0x7f and `%` are written as `%` and two upper-case
//! hexadecimal digits; in a part, so is `/`. The hash is FNV-1a with 64 bits of the bytes that the callback got (offset basis
//! `cbf29ce484222325`, prime `100000001b3`). Readers skip details they do not know; anything else new is a new version.

mod event;
mod log;
mod text;

pub use event::{Event, Subject, fingerprint};
pub use log::{Entry, Log};
pub use text::ParseLogError;
