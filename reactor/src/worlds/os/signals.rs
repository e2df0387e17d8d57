//! SIGINT and SIGTERM: counted on a thread of their own, and taken by the loop.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::exfiltrator::WithRawSiginfo;
use signal_hook::iterator::{Handle, SignalsInfo};
use signal_hook::low_level::emulate_default_handler;

use crate::backend::Signal;

/// Signals that may wait for the loop: the second of them ends every wait, so one more has only one meaning left.
const UNTAKEN: usize = 2;

/// Takes the signals while it lives. Once no reactor in the process takes them, they end the process again.
///
/// A thread waits for them, since a loop whose callback does not return can do nothing about it.
pub(super) struct SignalWatch {
    untaken: Arc<Mutex<Vec<Signal>>>,
    thread: Handle,
}

impl SignalWatch {
    /// Watches, and has `waker` used for every signal.
    pub(super) fn new(waker: Arc<mio::Waker>) -> io::Result<Self> {
        restore_default_while_idle()?;
        // Kept one by one, with their origin, of which no use is made: the plain kind counts two that come at once as one.
        let signals = SignalsInfo::<WithRawSiginfo>::new([SIGINT, SIGTERM])?;
        let watch = Self { untaken: Arc::default(), thread: signals.handle() };
        let untaken = Arc::clone(&watch.untaken);
        // Not joined: a process that was forked from this one has the handle, but not the thread.
        thread::Builder::new().name("torsade-signals".to_owned()).spawn(move || count(signals, &untaken, &waker))?;
        watchers().change(1);
        Ok(watch)
    }

    /// Takes those that came since the last time.
    pub(super) fn take(&self) -> Vec<Signal> {
        std::mem::take(&mut *lock(&self.untaken))
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        watchers().change(-1);
        self.thread.close();
    }
}

/// Hands every signal to the loop. If that does not come round to take them, the process ends as without us.
fn count(mut signals: SignalsInfo<WithRawSiginfo>, untaken: &Mutex<Vec<Signal>>, waker: &mio::Waker) {
    for signal in &mut signals {
        let mut untaken = lock(untaken);
        if untaken.len() >= UNTAKEN {
            // With no word before it: whoever holds up the loop may hold the log as well. It cannot fail for these two.
            emulate_default_handler(signal.si_signo).ok();
        }
        untaken.push(if signal.si_signo == SIGINT { Signal::Interrupt } else { Signal::Terminate });
        drop(untaken);
        crate::backend::Wake::wake(waker);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while one is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many reactors take signals, and whether that is none.
#[derive(Default)]
struct Watchers {
    count: Mutex<usize>,
    idle: Arc<AtomicBool>,
}

impl Watchers {
    fn change(&self, by: isize) {
        // Held until both are changed: one thread's reactor may end while another's begins.
        let mut count = lock(&self.count);
        *count = count.saturating_add_signed(by);
        self.idle.store(*count == 0, Ordering::SeqCst);
    }
}

fn watchers() -> &'static Watchers {
    static WATCHERS: OnceLock<Watchers> = OnceLock::new();
    WATCHERS.get_or_init(Watchers::default)
}

/// `signal_hook` never removes the process's signal action, which would leave Ctrl-C without effect after `run`.
fn restore_default_while_idle() -> io::Result<()> {
    static DONE: OnceLock<()> = OnceLock::new();
    if DONE.get().is_none() {
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register_conditional_default(signal, Arc::clone(&watchers().idle))?;
        }
        DONE.get_or_init(|| ());
    }
    Ok(())
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
