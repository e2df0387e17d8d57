//! The loop: timers, turns, threads, tasks, workers, and its life.

#[path = "../support/support.rs"]
mod support;

mod tasks;
mod threads;
mod turns;
mod workers;
