//! JetStream's API, as far as the hub uses it.

use std::rc::Rc;

use serde_json::{Value, json};

use super::Server;
use super::streams::BEAT;

impl Server {
    /// Answers a request; gives whether it is one of the API's.
    pub(crate) fn answer_api(self: &Rc<Self>, subject: &str, reply: Option<&str>, payload: &[u8]) -> bool {
        let body: Value = serde_json::from_slice(payload).unwrap_or_default();
        let words: Vec<_> = subject.trim_start_matches("$JS.API.").split('.').collect();
        let answer = match words.as_slice() {
            ["STREAM", "INFO", name] => self.streams.info(name).unwrap_or_else(missing_stream),
            ["STREAM", "CREATE", name] => self.create_stream(name, &body),
            ["STREAM", "UPDATE", name] => match self.streams.streams.borrow_mut().get_mut(*name) {
                Some(stream) => {
                    stream.config = body;
                    json!({})
                }
                None => missing_stream(),
            },
            ["STREAM", "NAMES"] => {
                let streams = self.streams.streams.borrow();
                let names: Vec<_> = streams.keys().filter(|name| name.starts_with("KV_")).collect();
                json!({ "total": names.len(), "offset": 0, "limit": 1024, "streams": names })
            }
            ["STREAM", "MSG", "GET", name] => match self.streams.message_time(name, body["seq"].as_u64().unwrap()) {
                Some(time) => json!({ "message": { "seq": body["seq"], "time": time } }),
                None => error(404, 10_037, "no message found"),
            },
            ["CONSUMER", "CREATE", name] => match self.streams.consume(name, &body["config"]) {
                Some((consumer, pending)) => {
                    self.beat_later();
                    json!({ "name": consumer, "num_pending": pending, "delivered": { "consumer_seq": 0, "stream_seq": 0 } })
                }
                None => missing_stream(),
            },
            ["CONSUMER", "INFO", _, consumer] => match self.streams.state_of(consumer) {
                Some((sent, pending)) => {
                    json!({ "name": consumer, "num_pending": pending, "delivered": { "consumer_seq": sent } })
                }
                None => error(404, 10_014, "consumer not found"),
            },
            ["CONSUMER", "DELETE", _, consumer] => {
                self.streams.consumers.borrow_mut().remove(*consumer);
                json!({ "success": true })
            }
            _ => return false,
        };
        if let Some(reply) = reply {
            self.deliver(reply, None, b"", answer.to_string().as_bytes());
        }
        self.feed_all();
        true
    }

    fn create_stream(&self, name: &str, config: &Value) -> Value {
        if self.streams.streams.borrow().get(name).is_some_and(|known| known.config != *config) {
            return error(400, 10_058, "stream name already in use with a different configuration");
        }
        let overlaps = {
            let streams = self.streams.streams.borrow();
            let subject = config["subjects"][0].as_str().expect("a subject").to_owned();
            streams.iter().any(|(known, stream)| known != name && stream.wants(&subject))
        };
        if overlaps {
            return error(400, 10_065, "subjects overlap with an existing stream");
        }
        if !self.streams.streams.borrow().contains_key(name) {
            self.streams.create(name, config);
        }
        self.streams.info(name).expect("it was made")
    }

    /// Sends heartbeats as long as there are consumers.
    fn beat_later(self: &Rc<Self>) {
        if self.beating.replace(true) {
            return;
        }
        let server = Rc::downgrade(self);
        self.reactor().call_later(BEAT, move || {
            let Some(server) = server.upgrade() else { return };
            server.beating.set(false);
            if !server.is_frozen.get() {
                for (to, says) in server.streams.beats() {
                    if !server.deliver(&to, None, says.as_bytes(), b"") {
                        // Nobody listens to it any more.
                        server.streams.consumers.borrow_mut().retain(|_, consumer| consumer.to != to);
                    }
                }
            }
            if !server.streams.consumers.borrow().is_empty() {
                server.beat_later();
            }
        });
    }
}

fn missing_stream() -> Value {
    error(404, 10_059, "stream not found")
}

fn error(code: u64, number: u64, text: &str) -> Value {
    json!({ "error": { "code": code, "err_code": number, "description": text } })
}
