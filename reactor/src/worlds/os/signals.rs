//! Signals: received by a thread of their own, and handled by the loop.

use std::ffi::c_int;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::exfiltrator::WithRawSiginfo;
use signal_hook::iterator::{Handle, SignalsInfo};
use signal_hook::low_level::emulate_default_handler;

use crate::backend::Signal;

/// The number of queued signals that ask the program to stop. The second ends all waiting of the stop, so a further one can only
/// mean to end the process.
const MAX_PENDING: usize = 2;

const NUMBERS: [(Signal, c_int); 7] = [
    (Signal::Child, SIGCHLD),
    (Signal::Hangup, SIGHUP),
    (Signal::Interrupt, SIGINT),
    (Signal::Terminate, SIGTERM),
    (Signal::User1, SIGUSR1),
    (Signal::User2, SIGUSR2),
    (Signal::WindowChange, SIGWINCH),
];

/// Receives signals until dropped. Once no reactor in the process handles a signal, it has the system's default action again.
///
/// A thread waits for them, since a loop whose callback does not return cannot react.
pub(super) struct SignalThread {
    collected: Arc<Mutex<Collected>>,
    handle: Handle,
}

#[derive(Default)]
struct Collected {
    /// The wanted signals. The thread may see others, which were wanted earlier.
    watched: Vec<Signal>,
    pending: Vec<Signal>,
}

impl SignalThread {
    /// Starts with no signals; uses `waker` for each one received.
    pub(super) fn new(waker: Arc<mio::Waker>) -> io::Result<Self> {
        // With their origin, which is not used, because that keeps signals separate: the plain kind merges two that arrive at
        // once.
        let signals = SignalsInfo::<WithRawSiginfo>::new([0; 0])?;
        let thread = Self { collected: Arc::default(), handle: signals.handle() };
        let collected = Arc::clone(&thread.collected);
        // Not joined: a forked process has the handle, but not the thread.
        thread::Builder::new().name("torsade-signals".to_owned()).spawn(move || collect(signals, &collected, &waker))?;
        Ok(thread)
    }

    /// Receives these signals from now on, and no others.
    pub(super) fn watch(&mut self, signals: &[Signal]) -> io::Result<()> {
        for (signal, number) in NUMBERS {
            let watchers = Watchers::of(signal)?;
            let watched = lock(&self.collected).watched.contains(&signal);
            if signals.contains(&signal) && !watched {
                watchers.restore_default_while_idle(number)?;
                self.handle.add_signal(number)?;
                lock(&self.collected).watched.push(signal);
                watchers.change(1);
            } else if watched && !signals.contains(&signal) {
                lock(&self.collected).watched.retain(|known| *known != signal);
                watchers.change(-1);
            }
        }
        Ok(())
    }

    /// Takes the signals received since the last call.
    pub(super) fn take(&self) -> Vec<Signal> {
        std::mem::take(&mut lock(&self.collected).pending)
    }
}

impl Drop for SignalThread {
    fn drop(&mut self) {
        // It cannot fail for an empty list.
        self.watch(&[]).ok();
        self.handle.close();
    }
}

/// Passes every signal to the loop. If the loop does not take those that ask for a stop, the process ends by the signal's default
/// action.
fn collect(mut signals: SignalsInfo<WithRawSiginfo>, collected: &Mutex<Collected>, waker: &mio::Waker) {
    for info in &mut signals {
        let Some((signal, number)) = NUMBERS.into_iter().find(|(_, number)| *number == info.si_signo) else { continue };
        let Collected { watched, pending } = &mut *lock(collected);
        if !watched.contains(&signal) {
            continue;
        }
        if signal.asks_to_stop() {
            if pending.iter().filter(|signal| signal.asks_to_stop()).count() >= MAX_PENDING {
                // Without logging: what holds up the loop may hold the logger too. This cannot fail for these two signals.
                emulate_default_handler(number).ok();
            }
        } else if pending.contains(&signal) {
            continue;
        }
        pending.push(signal);
        crate::backend::Wake::wake(waker);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of reactors that handle a signal, and whether it is zero.
#[derive(Default)]
struct Watchers {
    prepared: OnceLock<()>,
    count: Mutex<usize>,
    idle: Arc<AtomicBool>,
}

impl Watchers {
    fn of(signal: Signal) -> io::Result<&'static Self> {
        static ALL: OnceLock<[Watchers; NUMBERS.len()]> = OnceLock::new();
        let all = ALL.get_or_init(Default::default);
        let index = NUMBERS.iter().position(|(known, _)| *known == signal);
        index.and_then(|index| all.get(index)).ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// `signal_hook` never removes the process's signal action, so without this Ctrl-C would have no effect after `run`.
    fn restore_default_while_idle(&self, number: c_int) -> io::Result<()> {
        if self.prepared.get().is_none() {
            signal_hook::flag::register_conditional_default(number, Arc::clone(&self.idle))?;
            self.prepared.get_or_init(|| ());
        }
        Ok(())
    }

    fn change(&self, by: isize) {
        // Held until both are changed: one thread's reactor may end while another's begins.
        let mut count = lock(&self.count);
        *count = count.saturating_add_signed(by);
        self.idle.store(*count == 0, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_a_reactor_watches_none_makes_the_process_idle() {
        let watchers = Watchers::default();
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..100_000 {
                        watchers.change(1);
                        assert!(!watchers.idle.load(Ordering::SeqCst));
                        watchers.change(-1);
                    }
                });
            }
        });
        assert!(watchers.idle.load(Ordering::SeqCst));
    }
}
