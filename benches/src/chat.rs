//! A room: the first line joins and is answered `ok`, each further line `L` goes to every member as `=L`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use torsade::prelude::*;

use crate::line::without_cr;

pub type Room = Rc<RefCell<BTreeMap<u64, LineTransport>>>;

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
            self.room.borrow_mut().insert(transport.id(), transport.clone());
            transport.write("ok\r\n");
            return Ok(());
        }
        let message = SharedBytes::from([b"=", without_cr(line), b"\r\n"].concat());
        for member in self.room.borrow().values() {
            member.write_shared(&message);
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, _reason: &Reason) -> Result {
        self.room.borrow_mut().remove(&transport.id());
        Ok(())
    }
}
