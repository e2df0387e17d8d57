//! A client of the scripted broker, from its side.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;

use super::wire::{CommandDecoder, Value};
use super::{ScriptedRedis, commands};

/// A client that is connected.
pub(super) struct Client {
    pub(super) id: u64,
    pub(super) transport: Transport,
    pub(super) logged_in: Cell<bool>,
    pub(super) channels: RefCell<BTreeSet<Vec<u8>>>,
    pub(super) patterns: RefCell<BTreeSet<Vec<u8>>>,
    pub(super) shards: RefCell<BTreeSet<Vec<u8>>>,
    /// Whether it is told when keys that it has read have changed, and which it has read since.
    pub(super) tracks: Cell<bool>,
    pub(super) tracked: RefCell<BTreeSet<Vec<u8>>>,
    last_due: Cell<Duration>,
}

impl Client {
    pub(super) fn send(&self, broker: &ScriptedRedis, value: &Value) {
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        let reactor = self.transport.reactor();
        let due = (reactor.now() + broker.0.script.delay.get()).max(self.last_due.get());
        self.last_due.set(due);
        if broker.0.script.silent.get() {
            return;
        }
        match due.saturating_sub(reactor.now()) {
            Duration::ZERO => self.transport.write(bytes),
            wait => {
                let transport = self.transport.clone();
                reactor.call_later(wait, move || transport.write(bytes));
            }
        }
    }

    fn run(self: &Rc<Self>, broker: &ScriptedRedis, command: &[Vec<u8>]) {
        let now = self.transport.reactor().now();
        let name = String::from_utf8_lossy(&command[0]).into_owned();
        let answer =
            commands::run(broker, Some(self), now, command).filter(|_| !broker.0.script.withheld.borrow().contains(&name));
        if let Some(answer) = &answer {
            self.send(broker, answer);
        }
        commands::track(broker, Some(self), command, answer.as_ref());
    }
}

/// The protocol of a connection.
struct Connection {
    broker: ScriptedRedis,
    client: Option<Rc<Client>>,
}

pub(super) fn protocol(broker: &ScriptedRedis) -> impl Protocol + use<> {
    FrameReceiver::new(CommandDecoder, Connection { broker: broker.clone(), client: None })
}

impl FrameProtocol<CommandDecoder> for Connection {
    fn connection_made(&mut self, frames: &FrameTransport) -> Result {
        let broker = &self.broker.0;
        broker.last_client.set(broker.last_client.get() + 1);
        let transport = Transport::clone(frames);
        transport.set_read_while_congested(true);
        let client = Rc::new(Client {
            id: broker.last_client.get(),
            transport,
            logged_in: Cell::new(broker.script.login.borrow().is_none()),
            channels: RefCell::default(),
            patterns: RefCell::default(),
            shards: RefCell::default(),
            tracks: Cell::default(),
            tracked: RefCell::default(),
            last_due: Cell::default(),
        });
        broker.clients.borrow_mut().insert(client.id, Rc::clone(&client));
        self.client = Some(client);
        Ok(())
    }

    fn frame_received(&mut self, _: &FrameTransport, command: Vec<Vec<u8>>) -> Result {
        let Some(client) = &self.client else { return Ok(()) };
        if self.broker.0.script.silent.get() {
            return Ok(());
        }
        client.run(&self.broker, &command);
        Ok(())
    }

    fn connection_lost(&mut self, _: &FrameTransport, _: &Reason) -> Result {
        if let Some(client) = self.client.take() {
            self.broker.0.clients.borrow_mut().remove(&client.id);
        }
        Ok(())
    }
}
