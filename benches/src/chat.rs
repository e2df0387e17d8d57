//! A room: the first line joins and is answered `ok`, each later line `L` is sent to every member as `=L`, on all workers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use torsade::{Worker, prelude::*};

use crate::line::without_cr;

/// The members of one worker, only used on its thread.
#[derive(Default)]
pub struct Members {
    members: RefCell<BTreeMap<u64, LineTransport>>,
    /// The workers of the other members.
    others: Vec<ReactorHandle>,
}

pub type Room = Rc<Members>;

/// The room of all workers, as seen by this one.
#[allow(dead_code, reason = "some programs have no workers")]
pub fn room_of(worker: &Worker) -> Room {
    let others = worker.handles().iter().enumerate().filter(|(index, _)| *index != worker.index());
    worker.local(|_| Members { others: others.map(|(_, handle)| handle.clone()).collect(), ..Members::default() })
}

impl Members {
    fn tell(&self, message: Vec<u8>) {
        let message = SharedBytes::from(message);
        for member in self.members.borrow().values() {
            member.write_shared(&message);
        }
    }
}

pub struct Member {
    room: Room,
    joined: bool,
}

impl Member {
    pub fn new(room: &Room) -> Self {
        Self { room: Rc::clone(room), joined: false }
    }
}

impl LineProtocol for Member {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        if !std::mem::replace(&mut self.joined, true) {
            self.room.members.borrow_mut().insert(transport.id(), transport.clone());
            transport.write("ok\r\n");
            return Ok(());
        }
        let message = [b"=", without_cr(line), b"\r\n"].concat();
        for worker in &self.room.others {
            let message = message.clone();
            // A stopped worker has no members.
            worker.call_from_thread(move |reactor| reactor.local(|_| Members::default()).tell(message)).ok();
        }
        self.room.tell(message);
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, _reason: &Reason) -> Result {
        self.room.members.borrow_mut().remove(&transport.id());
        Ok(())
    }
}
