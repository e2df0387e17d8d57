//! For systems without signals, where Ctrl-C ends the process at once.

use std::io;
use std::sync::Arc;

use crate::backend::Signal;

pub(super) struct SignalThread;

impl SignalThread {
    #[expect(clippy::unnecessary_wraps, reason = "as where there are signals")]
    pub(super) fn new(_: Arc<mio::Waker>) -> io::Result<Self> {
        Ok(Self)
    }

    #[expect(clippy::unused_self, reason = "as where there are signals")]
    pub(super) fn watch(&mut self, signals: &[Signal]) -> io::Result<()> {
        match signals.iter().find(|signal| !signal.asks_to_stop()) {
            Some(signal) => Err(io::Error::new(io::ErrorKind::Unsupported, format!("this system has no signal {signal:?}"))),
            None => Ok(()),
        }
    }

    #[expect(clippy::unused_self, reason = "as where there are signals")]
    pub(super) const fn take(&self) -> Vec<Signal> {
        Vec::new()
    }
}
