//! Forwards connections from one wire to another, with half-closes, resets and back-pressure.

use std::cell::RefCell;
use std::rc::Rc;

use torsade::prelude::*;

use super::kind::Place;
use super::wire::Wire;

/// Listens on one wire and forwards to `target` on the other.
pub fn dig(reactor: &Reactor, from: Wire, to: Wire, target: Place) -> Port {
    let reach = Reach { reactor: reactor.clone(), wire: to, target };
    from.listen_directly(reactor, move |_peer| {
        let ends = Rc::<RefCell<Ends>>::default();
        End { reach: Some(reach.clone()), ends }
    })
}

#[derive(Clone)]
struct Reach {
    reactor: Reactor,
    wire: Wire,
    target: Place,
}

/// Both sides of a forwarded connection, once connected.
#[derive(Default)]
struct Ends {
    near: Option<Transport>,
    far: Option<Transport>,
}

/// One side of it. The near one knows where to connect the far one.
struct End {
    reach: Option<Reach>,
    ends: Rc<RefCell<Ends>>,
}

impl End {
    fn other(&self) -> Option<Transport> {
        let ends = self.ends.borrow();
        if self.reach.is_some() { ends.far.clone() } else { ends.near.clone() }
    }
}

impl Protocol for End {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        // The directions are independent: the other side's producer limits what each may hold.
        transport.set_read_while_congested(true);
        if let Some(Reach { reactor, wire, target }) = &self.reach {
            transport.pause_producing();
            self.ends.borrow_mut().near = Some(transport.clone());
            wire.connect_to(reactor, target, Far { ends: Rc::clone(&self.ends) });
            return Ok(());
        }
        self.ends.borrow_mut().far = Some(transport.clone());
        let Some(near) = self.other().filter(Transport::is_connected) else {
            transport.abort_connection();
            return Ok(());
        };
        near.register_producer(transport.clone(), true)?;
        transport.register_producer(near.clone(), true)?;
        near.resume_producing();
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        if let Some(other) = self.other() {
            other.write(data);
        }
        Ok(())
    }

    fn read_connection_lost(&mut self, _transport: &Transport) -> Result {
        if let Some(other) = self.other() {
            other.lose_write_connection();
        }
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &Transport, reason: &Reason) -> Result {
        if let Some(other) = self.other() {
            if reason.is_clean() {
                other.lose_connection();
            } else {
                other.abort_connection();
            }
        }
        Ok(())
    }
}

/// Makes the protocol of the far side.
struct Far {
    ends: Rc<RefCell<Ends>>,
}

impl Factory for Far {
    fn build_protocol(&mut self, _peer: &Address) -> Option<Box<dyn Protocol>> {
        Some(Box::new(End { reach: None, ends: Rc::clone(&self.ends) }))
    }
}

impl ClientFactory for Far {
    fn client_connection_failed(&mut self, _connector: &Connector, _reason: &ConnectError) -> Result {
        if let Some(near) = &self.ends.borrow().near {
            near.abort_connection();
        }
        Ok(())
    }
}
