//! Notes: JSON in and out, and a stream of events.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Sse;
use axum::response::sse::Event;
use futures_lite::Stream;
use send_wrapper::SendWrapper;
use serde_json::{Value, json};
use torsade::Deferred;

use super::Site;

/// How many notes are kept, each of at most `TEXT_LIMIT` bytes.
const KEPT: usize = 1000;
const TEXT_LIMIT: usize = 1000;

/// Listeners get a comment after this long without a note: proxies on the way then see that the stream is alive, and we notice a
/// listener that has vanished.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The newest notes, and the listeners.
#[derive(Default)]
pub struct Notes(RefCell<Inner>);

#[derive(Default)]
struct Inner {
    notes: VecDeque<(u64, String)>,
    last_id: u64,
    /// The waker of each listener, by number. All read the same notes, so a slow listener costs no memory: it misses some.
    listeners: BTreeMap<u64, Waker>,
    last_listener: u64,
}

impl Notes {
    fn add(&self, text: &str) -> Value {
        let mut inner = self.0.borrow_mut();
        inner.last_id += 1;
        let id = inner.last_id;
        if inner.notes.len() == KEPT {
            inner.notes.pop_front();
        }
        inner.notes.push_back((id, text.to_owned()));
        inner.listeners.values().for_each(Waker::wake_by_ref);
        shown(id, text)
    }

    /// The first note after the one with this id.
    fn after(&self, id: u64) -> Option<(u64, String)> {
        let inner = self.0.borrow();
        let index = inner.notes.partition_point(|note| note.0 <= id);
        inner.notes.get(index).cloned()
    }

    fn register(&self) -> u64 {
        let mut inner = self.0.borrow_mut();
        inner.last_listener += 1;
        let number = inner.last_listener;
        inner.listeners.insert(number, Waker::noop().clone());
        number
    }
}

fn shown(id: u64, text: &str) -> Value {
    json!({ "id": id, "text": text })
}

/// `POST /notes`: takes `{"text": "..."}`.
pub async fn add(
    State(site): State<Site>,
    Json(note): Json<Value>,
) -> Result<(StatusCode, Json<Value>), (StatusCode, &'static str)> {
    match note["text"].as_str() {
        Some(text) if text.len() <= TEXT_LIMIT => Ok((StatusCode::CREATED, Json(site.notes.add(text)))),
        Some(_) => Err((StatusCode::UNPROCESSABLE_ENTITY, "\"text\" is longer than 1000 bytes\n")),
        None => Err((StatusCode::UNPROCESSABLE_ENTITY, "\"text\" is not a string\n")),
    }
}

/// `GET /notes`: all of them, or with `?contains=TEXT` those that contain a text.
pub async fn list(State(site): State<Site>, Query(query): Query<HashMap<String, String>>) -> Json<Value> {
    let wanted = query.get("contains").map_or("", String::as_str);
    let inner = site.notes.0.borrow();
    Json(inner.notes.iter().filter(|note| note.1.contains(wanted)).map(|(id, text)| shown(*id, text)).collect())
}

/// `GET /status`: the numbers of notes and listeners.
pub async fn status(State(site): State<Site>) -> Json<Value> {
    let inner = site.notes.0.borrow();
    Json(json!({ "notes": inner.notes.len(), "listeners": inner.listeners.len() }))
}

/// `GET /events`: each note as an event, starting after `Last-Event-ID`, which a browser sends when it reconnects.
pub async fn events(State(site): State<Site>, headers: HeaderMap) -> Sse<Events> {
    let last_seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok()).unwrap_or(0);
    let events = Listener { number: site.notes.register(), last_seen, heartbeat: site.reactor.sleep(HEARTBEAT), site };
    Sse::new(Events(SendWrapper::new(events)))
}

/// The events of one listener, dropped when the client has gone.
pub struct Events(SendWrapper<Listener>);

struct Listener {
    site: Site,
    number: u64,
    last_seen: u64,
    heartbeat: Deferred<()>,
}

impl Stream for Events {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let listener = &mut *self.0;
        let event = if let Some((id, text)) = listener.site.notes.after(listener.last_seen) {
            listener.last_seen = id;
            Event::default().event("note").id(id.to_string()).data(shown(id, &text).to_string())
        } else if pin!(&mut listener.heartbeat).poll(context).is_ready() {
            Event::default().comment("")
        } else {
            listener.site.notes.0.borrow_mut().listeners.insert(listener.number, context.waker().clone());
            return Poll::Pending;
        };
        listener.heartbeat = listener.site.reactor.sleep(HEARTBEAT);
        Poll::Ready(Some(Ok(event)))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.site.notes.0.borrow_mut().listeners.remove(&self.number);
    }
}
