//! SIGINT and SIGTERM as events of the poll.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;

use crate::backend::Signal;

/// Takes the signals while it lives. Once no reactor in the process takes them, they end the process again.
pub(super) struct SignalWatch {
    signals: Signals,
}

impl SignalWatch {
    pub(super) fn new(registry: &mio::Registry, token: mio::Token) -> io::Result<Self> {
        restore_default_while_idle()?;
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        registry.register(&mut signals, token, mio::Interest::READABLE)?;
        watchers().change(1);
        Ok(Self { signals })
    }

    pub(super) fn pending(&mut self) -> impl Iterator<Item = Signal> + '_ {
        self.signals.pending().map(|number| if number == SIGINT { Signal::Interrupt } else { Signal::Terminate })
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        watchers().change(-1);
    }
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
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
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
        std::thread::scope(|scope| {
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
