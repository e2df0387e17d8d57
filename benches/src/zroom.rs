//! A room with compressed connections: what one member sends goes to all.

use std::cell::RefCell;
use std::rc::Rc;

use torsade::prelude::*;

pub type Room = Rc<RefCell<Vec<Transport>>>;

pub struct Member {
    room: Room,
    once: bool,
}

impl Member {
    pub fn new(room: &Room, once: bool) -> Self {
        Self { room: Rc::clone(room), once }
    }
}

impl Protocol for Member {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.set_compression(Compression::deflate().announce(false))?;
        self.room.borrow_mut().push(transport.clone());
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        let message = SharedBytes::from(data.to_vec());
        let message = if self.once { message.compressed_once() } else { message };
        self.room.borrow().iter().for_each(|member| member.write_shared(&message));
        Ok(())
    }
}
