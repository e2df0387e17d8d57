//! All connections of a client, and the path of a request through them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use hyper::body::{Body, Incoming};
use hyper::client::conn::TrySendError;
use hyper::{Method, Request, Response, StatusCode};
use torsade::{AsyncConnection, TriggerId};

use super::error::{ClientError, ClientErrorKind};
use super::host::Host;
use super::lease::Lease;
use super::origin::Origin;
use super::outgoing_body::OutgoingBody;
use super::pace::Pace;
use super::response_body::ResponseBody;
use super::settings::Settings;

/// The number of hosts from which those without connections are removed.
const HOSTS: usize = 64;

pub(super) struct Pool {
    settings: Rc<Settings>,
    /// Ordered, so that operations on all hosts always happen in the same order.
    hosts: RefCell<BTreeMap<Origin, Rc<Host>>>,
    /// The number of hosts at which to look for unused ones.
    many: Cell<usize>,
    at_stop: Cell<Option<TriggerId>>,
}

/// A request whose response has begun.
struct Exchange {
    response: Response<Incoming>,
    pace: Pace,
    lease: Lease,
}

impl Pool {
    pub(super) fn new(settings: Settings) -> Rc<Self> {
        let reactor = settings.timer.reactor().clone();
        let pool = Rc::new(Self {
            settings: Rc::new(settings),
            hosts: RefCell::default(),
            many: Cell::new(HOSTS),
            at_stop: Cell::default(),
        });
        let weak = Rc::downgrade(&pool);
        let close_idle = move || {
            if let Some(pool) = weak.upgrade() {
                pool.hosts.borrow().values().for_each(|host| host.close_idle());
            }
        };
        pool.at_stop.set(Some(reactor.before_shutdown(close_idle)));
        pool
    }

    pub(super) async fn request(self: Rc<Self>, request: Request<OutgoingBody>) -> Result<Response<ResponseBody>, ClientError> {
        if request.method() == Method::CONNECT {
            return Err(ClientError::new(ClientErrorKind::Request, "CONNECT makes a tunnel: use `upgrade`"));
        }
        let Exchange { response, pace, lease } = self.exchange(request, false).await?;
        Ok(response.map(|incoming| ResponseBody::new(incoming, pace, lease)))
    }

    /// The same; also returns the connection if the response switches it to another protocol.
    pub(super) async fn upgrade(
        self: Rc<Self>,
        request: Request<OutgoingBody>,
    ) -> Result<(Response<ResponseBody>, Option<AsyncConnection>), ClientError> {
        let connect = request.method() == Method::CONNECT;
        let Exchange { response, mut pace, mut lease } = self.exchange(request, true).await?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS && !(connect && status.is_success()) {
            lease.decline_upgrade().await;
            return Ok((response.map(|incoming| ResponseBody::new(incoming, pace, lease)), None));
        }
        match pace.keep(lease.upgraded()).await? {
            Some(connection) => Ok((response.map(ResponseBody::ended), Some(connection))),
            None => Err(ClientError::new(ClientErrorKind::Closed, "it was lost while it was switched to another protocol")),
        }
    }

    /// Waits its turn, sends a request, and waits for the head of its response; with `upgrade`, alone on the connection.
    async fn exchange(&self, mut request: Request<OutgoingBody>, upgrade: bool) -> Result<Exchange, ClientError> {
        let host = self.host(Origin::of(&request)?);
        let (mut lease, mut pace) = match host.share().filter(|_| !upgrade) {
            Some(lease) => (lease, self.pace()),
            None => {
                let permit = host.turn().await?;
                let mut pace = self.pace();
                let lease = match host.wake(permit) {
                    Ok(lease) => lease,
                    Err(permit) => pace.keep(host.connect(permit, upgrade)).await??,
                };
                (lease, pace)
            }
        };
        request.body_mut().set_progress(pace.progress());
        let repeated = if lease.reused() { repeated(&request) } else { None };
        if upgrade {
            lease.set_upgrade();
        }
        let mut sent = pace.keep(lease.send(request)).await;
        if let Ok(Err(error)) = &mut sent
            && lease.reused()
            && let Some(request) = unsent(error, repeated)
        {
            log::debug!("a request to {} is sent again on a new connection: {}", host.origin(), error.error());
            let permit = match lease.into_permit() {
                Some(permit) => permit,
                None => host.turn().await?,
            };
            pace.progress().note();
            lease = pace.keep(host.connect(permit, upgrade)).await??;
            if upgrade {
                lease.set_upgrade();
            }
            sent = pace.keep(lease.send(request)).await;
        }
        match sent {
            Ok(Ok(response)) => Ok(Exchange { response, pace, lease }),
            Ok(Err(error)) => Err(error.into_error().into()),
            Err(late) => {
                lease.abandon(&late);
                Err(late)
            }
        }
    }

    fn pace(&self) -> Pace {
        Pace::new(&self.settings.timer, self.settings.timeout)
    }

    fn host(&self, origin: Origin) -> Rc<Host> {
        let mut hosts = self.hosts.borrow_mut();
        if let Some(host) = hosts.get(&origin) {
            return Rc::clone(host);
        }
        if hosts.len() >= self.many.get() {
            hosts.retain(|_, host| Rc::strong_count(host) > 1 || !host.is_unused());
            self.many.set(HOSTS.max(2 * hosts.len()));
        }
        let host = Rc::new(Host::new(&self.settings, origin.clone()));
        hosts.insert(origin, Rc::clone(&host));
        host
    }
}

/// A copy of the request, if it may be sent twice: it is idempotent (RFC 9110, 9.2.2), and its body cannot have been used up.
fn repeated(request: &Request<OutgoingBody>) -> Option<Request<OutgoingBody>> {
    if !request.method().is_idempotent() || !request.body().is_end_stream() {
        return None;
    }
    let mut repeated = Request::new(OutgoingBody::empty());
    *repeated.method_mut() = request.method().clone();
    *repeated.uri_mut() = request.uri().clone();
    *repeated.headers_mut() = request.headers().clone();
    *repeated.extensions_mut() = request.extensions().clone();
    Some(repeated)
}

/// The request to send again after one failed on a connection that may have been closed: a request that hyper had not begun to
/// send, or one that may be sent twice.
fn unsent(
    error: &mut TrySendError<Request<OutgoingBody>>,
    repeated: Option<Request<OutgoingBody>>,
) -> Option<Request<OutgoingBody>> {
    error.take_message().or_else(|| repeated.filter(|_| ClientErrorKind::of(error.error()) == ClientErrorKind::Closed))
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(trigger) = self.at_stop.take() {
            self.settings.timer.reactor().remove_system_event_trigger(trigger);
        }
    }
}
