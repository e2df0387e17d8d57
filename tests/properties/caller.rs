//! The factories of both sides, and the order of their hooks.

use std::rc::Rc;

use torsade::prelude::*;

use super::actor::Actor;
use super::world::{SharedSide, World};

/// A hook that a connector has called on its factory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    New,
    Started,
    Connecting,
    Built,
    Over,
    Stopped,
}

pub struct Caller {
    world: Rc<World>,
    side: SharedSide,
    step: Step,
}

impl Caller {
    pub fn new(world: &Rc<World>, side: &SharedSide) -> Self {
        Self { world: Rc::clone(world), side: Rc::clone(side), step: Step::New }
    }

    fn go(&mut self, from: &[Step], to: Step) {
        if !from.contains(&self.step) {
            self.world.complain(format!("a connector went from {:?} to {to:?}", self.step));
        }
        self.step = to;
    }
}

impl Factory for Caller {
    fn build_protocol(&mut self, _peer: &Address) -> Option<Box<dyn Protocol>> {
        self.go(&[Step::Connecting], Step::Built);
        Some(Box::new(Actor::new(&self.side)))
    }

    fn start_factory(&mut self) {
        self.go(&[Step::New], Step::Started);
    }

    fn stop_factory(&mut self) {
        self.go(&[Step::Over], Step::Stopped);
        self.side.borrow_mut().called = true;
    }
}

impl ClientFactory for Caller {
    fn started_connecting(&mut self, _connector: &Connector) -> Result {
        self.go(&[Step::Started], Step::Connecting);
        Ok(())
    }

    fn client_connection_failed(&mut self, _connector: &Connector, _reason: &ConnectError) -> Result {
        self.go(&[Step::Connecting], Step::Over);
        Ok(())
    }

    fn client_connection_lost(&mut self, _connector: &Connector, _reason: &Reason) -> Result {
        self.go(&[Step::Built], Step::Over);
        if self.side.borrow().reason.is_none() {
            self.world.complain("client_connection_lost was called before connection_lost".to_owned());
        }
        Ok(())
    }
}
