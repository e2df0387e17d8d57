//! The loop: timers, turns, threads, tasks, workers, starting and stopping.

#[path = "../support/support.rs"]
mod support;

mod signals;
mod tasks;
mod threads;
mod turns;
#[cfg(unix)]
mod watching;
mod workers;
