//! Events, in the format of the vectors.

use std::cell::RefCell;
use std::rc::Rc;

use torsade::Reason;
use torsade::testing::{StringTransport, TransportCall};

use crate::json::Json;

/// The events so far, in a shared list.
#[derive(Clone, Default)]
pub struct Events(Rc<RefCell<Vec<Event>>>);

enum Event {
    Written(Vec<Json>, Vec<u8>),
    Other(Json),
}

/// Bytes as a vector has them.
pub fn shown(data: &[u8]) -> Json {
    if data.len() <= 512 {
        return data.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
    }
    let mut checksum = flate2::Crc::new();
    checksum.update(data);
    format!("{}:{:08x}", data.len(), checksum.sum()).into()
}

impl Events {
    pub fn note(&self, event: impl IntoIterator<Item = Json>) {
        self.0.borrow_mut().push(Event::Other(Json::List(event.into_iter().collect())));
    }

    /// Adds to the last event if that is a write on the same connection: how a message is cut does not count.
    fn written(&self, prefix: &[Json], data: &[u8]) {
        let mut events = self.0.borrow_mut();
        match events.last_mut() {
            _ if data.is_empty() => {}
            Some(Event::Written(before, written)) if before == prefix => written.extend_from_slice(data),
            _ => events.push(Event::Written(prefix.to_vec(), data.to_vec())),
        }
    }

    /// Records the calls on `transport`, with `prefix` before each event.
    pub fn observe(&self, transport: &StringTransport, prefix: Vec<Json>) {
        let events = self.clone();
        transport.observe(move |call| {
            let named = |name: &str| [prefix.clone(), vec![name.into()]].concat();
            match call {
                TransportCall::Write(data) => events.written(&prefix, data),
                TransportCall::AbortConnection => events.note(named("abort")),
                TransportCall::LoseConnection => events.note(named("lose")),
                TransportCall::PauseProducing => events.note(named("pause")),
                TransportCall::ResumeProducing => events.note(named("resume")),
                TransportCall::RegisterProducer(streaming) => events.note([named("register"), vec![streaming.into()]].concat()),
                TransportCall::UnregisterProducer => events.note(named("unregister")),
                other => panic!("no vector has {other:?}"),
            }
        });
    }

    pub fn finish(&self) -> Vec<Json> {
        let finished = self.0.take().into_iter().map(|event| match event {
            Event::Written(prefix, data) => Json::List([prefix, vec!["write".into(), shown(&data)]].concat()),
            Event::Other(event) => event,
        });
        finished.collect()
    }
}

/// The kind of a reason.
pub fn kind(reason: &Reason) -> Json {
    match reason {
        Reason::ConnectionAborted => "aborted".into(),
        Reason::ConnectionDone => "done".into(),
        Reason::Protocol(_) => "error".into(),
        other => panic!("no vector ends with {other}"),
    }
}
