//! The protocol of a connection: control lines, and the messages that follow them.

use std::rc::Rc;

use serde_json::json;
use torsade_protocols::{LineProtocol, LineTooLong, LineTransport, Reason, Result};

use super::connection::{Barrier, Connection};
use super::session::Session;
use super::wire::{self, Command, ServerInfo};
use crate::error::EngineError;

/// The maximum length of a control line. The longest is the INFO of a server in a large cluster, which names all others.
pub(super) const MAX_LINE: usize = 256 * 1024;
/// The largest message that a server can be configured for.
const LARGEST: usize = 64 << 20;
/// The bytes of headers that a server may add to a message.
const HEADROOM: usize = 64 * 1024;
/// A buffer of this size or more is not reused for the next message.
const KEPT: usize = 64 * 1024;

/// The client's side of the protocol.
pub(super) struct NatsProtocol {
    session: Rc<Session>,
    connection: Option<Rc<Connection>>,
    stage: Stage,
    /// The control line of the message that is arriving.
    line: Vec<u8>,
    /// The part of that message that has arrived, and its whole length including the line break.
    body: Vec<u8>,
    length: usize,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Stage {
    /// Waiting for the server's INFO.
    Greeting,
    Handshake,
    /// CONNECT has been sent.
    Login,
    In,
}

impl NatsProtocol {
    pub(super) fn new(session: &Rc<Session>) -> Self {
        let session = Rc::clone(session);
        Self { session, connection: None, stage: Stage::Greeting, line: Vec::new(), body: Vec::new(), length: 0 }
    }

    fn greet(&mut self, transport: &LineTransport, connection: &Rc<Connection>, info: &ServerInfo) {
        if !info.headers {
            let why = "it has no headers: nats-server 2.2 or later is needed".to_owned();
            return connection.abort(EngineError::Unsupported(why));
        }
        if !info.tls_required && !self.session.wants_tls() {
            return self.log_in(connection);
        }
        if !info.tls_required && !info.tls_available {
            let why = "TLS is asked for, and the server has none: write nats:// if the way to it is safe".to_owned();
            return connection.abort(EngineError::Refused(why));
        }
        match self.session.start_tls(transport) {
            Ok(()) => self.stage = Stage::Handshake,
            Err(why) => connection.abort(EngineError::Refused(why)),
        }
    }

    fn log_in(&mut self, connection: &Rc<Connection>) {
        self.stage = Stage::Login;
        let mut words = json!({
            "verbose": false, "pedantic": false, "echo": true, "protocol": 1, "headers": true, "no_responders": true,
            "lang": "rust", "name": "torsade", "version": env!("CARGO_PKG_VERSION"), "tls_required": self.session.wants_tls(),
        });
        self.session.add_login(&mut words);
        connection.write(&[format!("CONNECT {words}\r\n").as_bytes()]);
        connection.listen_for_answers();
        connection.ping(Barrier::Login);
    }

    fn obey(&mut self, transport: &LineTransport, connection: &Rc<Connection>, line: &[u8]) {
        let is_greeted = !matches!(self.stage, Stage::Greeting | Stage::Handshake);
        match wire::command(line) {
            Some(Command::Info(text)) => match ServerInfo::parse(text) {
                Some(info) => {
                    connection.max_payload.set(info.max_payload.min(LARGEST));
                    if self.stage == Stage::Greeting {
                        self.greet(transport, connection, &info);
                    }
                }
                None => connection.abort(EngineError::Protocol("the server's INFO is not JSON".to_owned())),
            },
            Some(Command::Message(head)) if self.stage == Stage::In => {
                let limit = connection.max_payload.get() + HEADROOM;
                if head.total > limit {
                    let why = format!("a message of {} bytes exceeds the limit of {limit}", head.total);
                    return connection.abort(EngineError::Protocol(why));
                }
                line.clone_into(&mut self.line);
                self.length = head.total + 2;
                transport.set_raw_mode();
            }
            Some(Command::Ping) if is_greeted => connection.pong(),
            Some(Command::Pong) if is_greeted => self.ponged(connection),
            Some(Command::Error(text)) => connection.refused(text),
            Some(Command::Ok) => {}
            _ => {
                let start = line.get(..line.len().min(80)).unwrap_or_default().escape_ascii();
                connection.abort(EngineError::Protocol(format!("the line {start:?}", start = start.to_string())));
            }
        }
    }

    fn ponged(&mut self, connection: &Rc<Connection>) {
        match connection.ponged() {
            Some(Barrier::Login) => {
                self.stage = Stage::In;
                self.session.logged_in(connection);
            }
            Some(Barrier::Subscribed(subscription)) => subscription.begun(&connection.upstream),
            Some(Barrier::Requests { last }) => connection.requests_seen(last),
            Some(Barrier::Tail(tail, generation)) => tail.ponged(connection, generation),
            Some(Barrier::Closed(firer)) => firer.callback(()),
            Some(Barrier::Seen) => {}
            None => connection.abort(EngineError::Protocol("a PONG without a PING".to_owned())),
        }
    }

    /// The message is complete.
    fn deliver(&self, connection: &Rc<Connection>, body: &[u8]) {
        let Some(Command::Message(head)) = wire::command(&self.line) else { return };
        match body.split_at_checked(head.total).map(|(message, end)| (message.split_at_checked(head.headers), end)) {
            Some((Some((headers, payload)), b"\r\n")) => connection.deliver(&head, headers, payload),
            _ => connection.abort(EngineError::Protocol("a message is longer than its control line says".to_owned())),
        }
    }
}

impl LineProtocol for NatsProtocol {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        // The hub limits what is written: by its queue, and by its subscriptions, which are all sent at once after the login.
        transport.set_write_buffer_cap(usize::MAX);
        // The server may not read until its own output has been read.
        transport.set_read_while_congested(true);
        self.connection = self.session.connection(transport);
        Ok(())
    }

    fn handshake_completed(&mut self, _transport: &LineTransport) -> Result {
        if let Some(connection) = self.connection.clone().filter(|_| self.stage == Stage::Handshake) {
            connection.heard();
            self.log_in(&connection);
        }
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        let Some(connection) = self.connection.clone() else { return Ok(()) };
        connection.heard();
        self.obey(transport, &connection, line);
        Ok(())
    }

    fn raw_data_received(&mut self, transport: &LineTransport, data: &[u8]) -> Result {
        let Some(connection) = self.connection.clone() else { return Ok(()) };
        connection.heard();
        if self.body.is_empty()
            && let Some((body, rest)) = data.split_at_checked(self.length)
        {
            transport.set_line_mode(rest);
            self.deliver(&connection, body);
            return Ok(());
        }
        let (more, rest) = data.split_at(data.len().min(self.length - self.body.len()));
        self.body.extend_from_slice(more);
        if self.body.len() == self.length {
            transport.set_line_mode(rest);
            let mut body = std::mem::take(&mut self.body);
            self.deliver(&connection, &body);
            if body.capacity() <= KEPT {
                body.clear();
                self.body = body;
            }
        }
        Ok(())
    }

    fn line_length_exceeded(&mut self, _transport: &LineTransport, line: LineTooLong<'_>) -> Result {
        if let Some(connection) = &self.connection {
            connection.abort(EngineError::Protocol(line.to_string()));
        }
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, reason: &Reason) -> Result {
        if let Some(connection) = self.connection.take() {
            self.session.lost(&connection, reason);
        }
        Ok(())
    }
}
