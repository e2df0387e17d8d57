//! What a request holds of the pool while it is served.

use std::future::poll_fn;
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::{Request, Response};
use torsade::{AsyncConnection, DeferredPermit};

use super::connection::{Http1, Http2, Serving};
use super::error::{ClientError, ClientErrorKind};
use super::host::Host;
use super::outgoing_body::OutgoingBody;
use super::pace::Pace;

/// A connection or a stream of one. If dropped before it is finished, it is ended.
pub(super) enum Lease {
    Connection(Connection),
    Stream(Stream),
}

pub(super) struct Connection {
    http: Http1,
    host: Rc<Host>,
    permit: DeferredPermit,
    reused: bool,
}

pub(super) struct Stream {
    http: Rc<Http2>,
    host: Rc<Host>,
    reused: bool,
}

impl Lease {
    pub(super) fn connection(host: &Rc<Host>, http: Http1, permit: DeferredPermit, reused: bool) -> Self {
        http.set_serving(Serving::Request);
        Self::Connection(Connection { http, host: Rc::clone(host), permit, reused })
    }

    pub(super) fn stream(host: &Rc<Host>, http: Rc<Http2>, reused: bool) -> Self {
        Self::Stream(Stream { http, host: Rc::clone(host), reused })
    }

    /// Returns whether it has served requests before, so that the server may close it before seeing this one.
    pub(super) const fn reused(&self) -> bool {
        match self {
            Self::Connection(connection) => connection.reused,
            Self::Stream(stream) => stream.reused,
        }
    }

    /// Sends a request and waits for the head of its response.
    pub(super) async fn send(
        &mut self,
        mut request: Request<OutgoingBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<OutgoingBody>>> {
        match self {
            Self::Connection(Connection { http, host, .. }) => {
                host.origin().address_http1(&mut request);
                http.sender.try_send_request(request).await
            }
            Self::Stream(Stream { http, host, .. }) => {
                host.origin().address_http2(&mut request);
                http.0.clone().try_send_request(request).await
            }
        }
    }

    /// Declares that the next request may switch the connection to another protocol.
    pub(super) fn set_upgrade(&self) {
        if let Self::Connection(connection) = self {
            connection.http.set_serving(Serving::Upgrade);
        }
    }

    /// Continues with HTTP, because the connection was not switched.
    pub(super) async fn decline_upgrade(&mut self) {
        if let Self::Connection(connection) = self {
            connection.http.decline_upgrade().await;
        }
    }

    /// Returns the connection once it has left HTTP.
    pub(super) async fn upgraded(mut self) -> Option<AsyncConnection> {
        match &mut self {
            Self::Connection(connection) => connection.http.upgraded().await,
            Self::Stream(_) => None,
        }
    }

    /// Returns the connection to the pool: the response is complete, or its rest is not wanted.
    pub(super) fn finish(self, complete: bool) {
        match self {
            Self::Connection(connection) => connection.finish(complete),
            Self::Stream(_) => {}
        }
    }

    pub(super) fn abandon(self, error: &ClientError) {
        log::debug!("a request to {} was abandoned: {error}", self.host().origin());
        if let Self::Stream(stream) = &self
            && error.kind() == ClientErrorKind::TimedOut
        {
            // The whole connection may be dead.
            stream.host.retire(&stream.http);
        }
    }

    /// Ends it because its connection failed, and returns the permit to make another, if it has one.
    pub(super) fn into_permit(self) -> Option<DeferredPermit> {
        match self {
            Self::Connection(connection) => Some(connection.permit),
            Self::Stream(stream) => {
                stream.host.retire(&stream.http);
                None
            }
        }
    }

    fn host(&self) -> &Host {
        match self {
            Self::Connection(connection) => &connection.host,
            Self::Stream(stream) => &stream.host,
        }
    }
}

impl Connection {
    fn finish(self, complete: bool) {
        let Self { mut http, host, permit, .. } = self;
        if http.sender.is_ready() {
            host.put_idle(http);
            return;
        }
        http.set_serving(if complete { Serving::Nothing } else { Serving::Unwanted });
        let reactor = host.reactor().clone();
        if reactor.is_stopping() {
            return;
        }
        // hyper is about to find that the response has ended or is not being read; or it is still sending the request.
        reactor.spawn(async move {
            let mut pace = Pace::new(host.timer(), host.timeout());
            match pace.keep(poll_fn(|context| http.sender.poll_ready(context))).await {
                Ok(Ok(())) => host.put_idle(http),
                // It has ended.
                Ok(Err(_)) => {}
                Err(_) => http.set_serving(Serving::Unwanted),
            }
            drop(permit);
        });
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.host.stream_ended();
    }
}
