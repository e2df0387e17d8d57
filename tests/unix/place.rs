//! Where a test's sockets are, and what its clients are told.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use torsade::prelude::*;

/// A folder for one test, removed when dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let name = format!("torsade-unix-{}-{}", std::process::id(), LAST.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The names of the files in it.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("it is there");
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// Records how connection attempts end: counts them, and keeps the error.
#[derive(Clone, Default)]
pub struct Attempts {
    pub connected: Rc<RefCell<Vec<Transport>>>,
    pub errors: Rc<RefCell<Vec<String>>>,
}

impl Attempts {
    pub fn connect(&self, reactor: &Reactor, name: impl Into<UnixName>) -> Connector {
        reactor.connect_unix(name, self.clone()).expect("the reactor is not stopping")
    }

    pub fn ended(&self) -> usize {
        self.connected.borrow().len() + self.errors.borrow().len()
    }
}

impl Factory for Attempts {
    fn build_protocol(&mut self, _peer: &Address) -> Option<Box<dyn Protocol>> {
        Some(Box::new(Noted(self.connected.clone())))
    }
}

impl ClientFactory for Attempts {
    fn client_connection_failed(&mut self, _connector: &Connector, error: &ConnectError) -> Result {
        self.errors.borrow_mut().push(error.to_string());
        Ok(())
    }
}

struct Noted(Rc<RefCell<Vec<Transport>>>);

impl Protocol for Noted {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.0.borrow_mut().push(transport.clone());
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, _data: &[u8]) -> Result {
        Ok(())
    }
}

/// Ends a reactor that was not run, and closes its ports.
pub fn end(reactor: &Reactor) {
    let stopper = reactor.clone();
    reactor.call_when_running(move || crate::support::stop(&stopper));
    crate::support::run(reactor);
}

/// Runs until the one attempt has ended; returns its error, if any.
pub fn connect_once(path: &Path) -> Option<String> {
    let (reactor, attempts) = (Reactor::new().unwrap(), Attempts::default());
    attempts.connect(&reactor, path);
    let (ended, stopper) = (attempts.clone(), reactor.clone());
    crate::support::once(&reactor, move || ended.ended() == 1, move || crate::support::stop(&stopper));
    crate::support::run(&reactor);
    attempts.errors.take().pop()
}
