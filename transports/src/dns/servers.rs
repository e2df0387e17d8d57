//! The order of servers.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::Duration;

/// How long a server that has failed is asked last.
const LEFT_ALONE: Duration = Duration::from_secs(30);

/// The name servers, in the order in which they are asked.
pub(super) struct Servers {
    /// Each server, with the time until which it is asked last.
    servers: RefCell<Vec<(SocketAddr, Duration)>>,
    /// How far the order is rotated for the next question; `None` without rotation.
    rotation: Option<Cell<usize>>,
}

impl Servers {
    pub(super) fn new(servers: &[SocketAddr], rotate: bool) -> Self {
        let servers = servers.iter().map(|server| (*server, Duration::ZERO)).collect();
        Self { servers: RefCell::new(servers), rotation: rotate.then(Cell::default) }
    }

    /// The servers for one question; those that have failed lately come last.
    pub(super) fn order(&self, now: Duration) -> Vec<SocketAddr> {
        let mut servers = self.servers.borrow().clone();
        if let Some(rotation) = self.rotation.as_ref().filter(|_| !servers.is_empty()) {
            let first = rotation.get() % servers.len();
            rotation.set(first + 1);
            servers.rotate_left(first);
        }
        servers.sort_by_key(|(_, until)| now < *until);
        servers.into_iter().map(|(server, _)| server).collect()
    }

    /// Notes that a server has failed.
    pub(super) fn failed(&self, server: SocketAddr, now: Duration) {
        self.set(server, now.saturating_add(LEFT_ALONE));
    }

    pub(super) fn answered(&self, server: SocketAddr) {
        self.set(server, Duration::ZERO);
    }

    fn set(&self, server: SocketAddr, time: Duration) {
        if let Some((_, until)) = self.servers.borrow_mut().iter_mut().find(|(address, _)| *address == server) {
            *until = time;
        }
    }
}
