//! One client of the scripted server.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use torsade::prelude::*;
use torsade::{LineProtocol, LineTransport, Reason};

use super::{Server, matches};

pub(crate) struct Client {
    pub(crate) number: u64,
    pub(crate) transport: Transport,
    pub(crate) is_greeted: Cell<bool>,
    /// How many sends are on their way late.
    pub(crate) late: Rc<Cell<u64>>,
    subscriptions: RefCell<Vec<Subscription>>,
}

struct Subscription {
    subject: String,
    group: Option<String>,
    sid: String,
    /// How many messages are left.
    left: Option<u64>,
}

impl Client {
    /// The subscriptions that want a message: group and sid.
    pub(crate) fn wants(&self, subject: &str) -> Vec<(Option<String>, String)> {
        let subscriptions = self.subscriptions.borrow();
        let wanting = subscriptions.iter().filter(|subscription| matches(&subscription.subject, subject));
        wanting.map(|subscription| (subscription.group.clone(), subscription.sid.clone())).collect()
    }

    pub(crate) fn count_down(&self, sid: &str) {
        let mut subscriptions = self.subscriptions.borrow_mut();
        for subscription in subscriptions.iter_mut().filter(|subscription| subscription.sid == sid) {
            subscription.left = subscription.left.map(|left| left.saturating_sub(1));
        }
        subscriptions.retain(|subscription| subscription.left != Some(0));
    }
}

/// The server's end of a connection.
pub(crate) struct Wire {
    server: Rc<Server>,
    client: Option<Rc<Client>>,
    is_in: bool,
    /// The message that is coming: subject, reply, length of its headers, and of all with the line break.
    coming: (String, Option<String>, usize, usize),
    body: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(server: &Rc<Server>) -> Self {
        Self { server: Rc::clone(server), client: None, is_in: false, coming: Default::default(), body: Vec::new() }
    }

    fn log_in(&mut self, client: &Client) {
        if let Some(error) = &*self.server.refuses_logins.borrow() {
            self.server.send(client, format!("-ERR '{error}'\r\n").into_bytes());
            return client.transport.lose_connection();
        }
        self.is_in = true;
    }

    fn subscribe(client: &Client, words: &[&str]) {
        let (subject, group, sid) = match words {
            [subject, sid] => (subject, None, sid),
            [subject, group, sid] => (subject, Some((*group).to_owned()), sid),
            _ => panic!("SUB {words:?}"),
        };
        let subscription = Subscription { subject: (*subject).to_owned(), group, sid: (*sid).to_owned(), left: None };
        assert!(client.subscriptions.borrow().iter().all(|known| known.sid != subscription.sid), "{sid} is taken");
        client.subscriptions.borrow_mut().push(subscription);
    }

    fn unsubscribe(client: &Client, words: &[&str]) {
        let sid = words[0];
        let left = words.get(1).map(|left| left.parse().expect("a number"));
        let mut subscriptions = client.subscriptions.borrow_mut();
        match left {
            None => subscriptions.retain(|subscription| subscription.sid != sid),
            left => subscriptions.iter_mut().filter(|known| known.sid == sid).for_each(|known| known.left = left),
        }
    }

    fn expect_message(&mut self, transport: &LineTransport, words: &[&str], has_headers: bool) {
        let number = |word: &str| word.parse::<usize>().expect("a number");
        let (subject, reply, headers, total) = match (words, has_headers) {
            ([subject, total], false) => (subject, None, 0, total),
            ([subject, reply, total], false) => (subject, Some(*reply), 0, total),
            ([subject, headers, total], true) => (subject, None, number(headers), total),
            ([subject, reply, headers, total], true) => (subject, Some(*reply), number(headers), total),
            _ => panic!("PUB {words:?}"),
        };
        self.coming = ((*subject).to_owned(), reply.map(str::to_owned), headers, number(total) + 2);
        transport.set_raw_mode();
    }

    fn publish(&mut self, client: &Client) {
        let (subject, reply, headers, _) = std::mem::take(&mut self.coming);
        let body = std::mem::take(&mut self.body);
        let (body, end) = body.split_at(body.len() - 2);
        assert_eq!(end, b"\r\n");
        if body.len() > self.server.max_payload.get() {
            self.server.send(client, b"-ERR 'Maximum Payload Violation'\r\n".to_vec());
            return client.transport.lose_connection();
        }
        if !self.server.allows(&subject) {
            let refusal = format!("-ERR 'Permissions Violation for Publish to \"{subject}\"'\r\n");
            return self.server.send(client, refusal.into_bytes());
        }
        let (headers, payload) = body.split_at(headers);
        if let (false, Some(reply)) = (self.server.publish(&subject, reply.as_deref(), headers, payload), &reply) {
            self.server.deliver(reply, None, b"NATS/1.0 503\r\n\r\n", b"");
        }
    }
}

impl LineProtocol for Wire {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        let server = &self.server;
        server.next_client.set(server.next_client.get() + 1);
        server.connections.set(server.connections.get() + 1);
        let client = Rc::new(Client {
            number: server.next_client.get(),
            transport: (***transport).clone(),
            is_greeted: Cell::new(false),
            late: Rc::default(),
            subscriptions: RefCell::default(),
        });
        transport.set_read_while_congested(true);
        transport.set_write_buffer_cap(usize::MAX);
        if server.is_frozen.get() {
            transport.pause_producing();
        }
        server.clients.borrow_mut().insert(client.number, Rc::clone(&client));
        server.greet(&client);
        self.client = Some(client);
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        let Some(client) = self.client.clone() else { return Ok(()) };
        let line = String::from_utf8(line.to_vec())?;
        self.server.heard.borrow_mut().push(line.clone());
        let (name, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let words: Vec<_> = rest.split_ascii_whitespace().collect();
        match name {
            "CONNECT" => self.log_in(&client),
            "PONG" => {}
            _ if !self.is_in => {}
            "PING" => self.server.send(&client, b"PONG\r\n".to_vec()),
            "SUB" => Self::subscribe(&client, &words),
            "UNSUB" => Self::unsubscribe(&client, &words),
            "PUB" => self.expect_message(transport, &words, false),
            "HPUB" => self.expect_message(transport, &words, true),
            _ => panic!("{line}"),
        }
        Ok(())
    }

    fn raw_data_received(&mut self, transport: &LineTransport, data: &[u8]) -> Result {
        let Some(client) = self.client.clone() else { return Ok(()) };
        let (more, rest) = data.split_at(data.len().min(self.coming.3 - self.body.len()));
        self.body.extend_from_slice(more);
        if self.body.len() == self.coming.3 {
            transport.set_line_mode(rest);
            self.publish(&client);
        }
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, _reason: &Reason) -> Result {
        if let Some(client) = self.client.take() {
            self.server.clients.borrow_mut().remove(&client.number);
        }
        Ok(())
    }
}
