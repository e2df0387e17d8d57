//! A client of the scripted broker, from its side.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
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
    /// What it waits for.
    pub(super) blocked: RefCell<Option<Blocked>>,
    /// What it has asked meanwhile.
    asked: RefCell<VecDeque<Vec<Vec<u8>>>>,
    last_due: Cell<Duration>,
}

/// A client waits for entries of streams: the command that is asked again then.
pub(super) struct Blocked {
    pub(super) command: Vec<Vec<u8>>,
    pub(super) timer: DelayedCall,
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

    /// Waits for so long, or without an end, with the command that is asked again when something was added.
    pub(super) fn block(self: &Rc<Self>, broker: &ScriptedRedis, command: &[Vec<u8>], wait: Duration) {
        let wait = if wait == Duration::ZERO { Duration::from_secs(1 << 30) } else { wait };
        let (client, of) = (Rc::downgrade(self), broker.clone());
        let timer = self.transport.reactor().call_later(wait, move || {
            if let Some(client) = client.upgrade() {
                client.unblock(&of, &Value::Null);
            }
        });
        self.blocked.replace(Some(Blocked { command: command.to_vec(), timer }));
    }

    /// Answers what it waits for, and goes on with what it has asked meanwhile. False if it does not wait.
    pub(super) fn unblock(self: &Rc<Self>, broker: &ScriptedRedis, value: &Value) -> bool {
        let Some(blocked) = self.blocked.take() else { return false };
        blocked.timer.cancel().ok();
        self.send(broker, value);
        while self.blocked.borrow().is_none() {
            let Some(command) = self.asked.borrow_mut().pop_front() else { break };
            self.run(broker, &command);
        }
        true
    }

    fn run(self: &Rc<Self>, broker: &ScriptedRedis, command: &[Vec<u8>]) {
        let now = self.transport.reactor().now();
        if let Some(answer) = commands::run(broker, Some(self), now, command) {
            self.send(broker, &answer);
        }
        commands::wake(broker);
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
            blocked: RefCell::default(),
            asked: RefCell::default(),
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
        if client.blocked.borrow().is_some() {
            client.asked.borrow_mut().push_back(command);
            return Ok(());
        }
        client.run(&self.broker, &command);
        Ok(())
    }

    fn connection_lost(&mut self, _: &FrameTransport, _: &Reason) -> Result {
        if let Some(client) = self.client.take() {
            self.broker.0.clients.borrow_mut().remove(&client.id);
            if let Some(blocked) = client.blocked.take() {
                blocked.timer.cancel().ok();
            }
        }
        Ok(())
    }
}
