//! One connection, from its first byte to its end.

use std::cell::RefCell;
use std::error::Error;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use futures_io::AsyncWrite;
use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper::{Method, Request, Response, StatusCode};
use torsade::{AsyncConnection, Reactor};

use super::connections::Open;
use super::stream::{Pieces, Streams};
use super::telling::{Chain, ServiceFailed, tell_end};
use super::version::is_http2;
use crate::upgrade::Upgrade;
use crate::{ConnectionInfo, RequestBody, TorsadeIo, TorsadeTimer};

/// Streams of one HTTP/2 connection that are answered at a time.
const STREAMS: u32 = 128;

/// What a request's head may take, in bytes.
const HEAD: usize = 16 << 10;

/// What hyper keeps of what was read, or is to be written, in bytes.
const BUFFER: usize = 64 << 10;

/// What the connections of a port have in common.
pub(super) struct Serving<S> {
    service: S,
    reactor: Reactor,
    timer: TorsadeTimer,
    timeout: Duration,
    http1: http1::Builder,
    date: bool,
}

impl<S, B> Serving<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: 'static,
    B: Body + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    pub(super) fn new(service: S, reactor: &Reactor, timeout: Duration, date: bool) -> Self {
        let timer = TorsadeTimer::new(reactor);
        let mut http1 = http1::Builder::new();
        http1.timer(timer.clone()).header_read_timeout(timeout).max_buf_size(BUFFER).max_header_size(HEAD);
        http1.half_close(true).auto_date_header(date);
        Self { service, reactor: reactor.clone(), timer, timeout, http1, date }
    }

    /// Serves `connection` until it ends. An end that the peer or the service has caused was logged.
    pub(super) async fn serve(self: Rc<Self>, mut connection: AsyncConnection, open: Rc<Open>) {
        // The messages of HTTP say where they end, and many clients close without TLS's own end.
        open.transport().set_tls_truncation_allowed(true);
        match open.until_ending(is_http2(&mut connection)).await {
            Some(Ok(true)) => self.serve_http2(connection, &open).await,
            Some(Ok(false)) => self.serve_http1(connection, &open).await,
            // It was lost, which the reactor tells of.
            Some(Err(_)) => {}
            None => close(connection).await,
        }
    }

    async fn serve_http1(&self, connection: AsyncConnection, open: &Rc<Open>) {
        open.is_http1();
        let upgrade = Rc::new(RefCell::new(None));
        let (answering, answered) = (self.answering(open), Rc::clone(&upgrade));
        let service = service_fn(|mut request: Request<Incoming>| {
            let possible = Upgrade::begin(&mut request).map(|upgrade| (upgrade, request.method() == Method::CONNECT));
            let answer = answering.answer(request);
            let answered = Rc::clone(&answered);
            async move {
                let response = answer.await?;
                if let Some((upgrade, tunnel)) = possible {
                    let status = response.status();
                    if status == StatusCode::SWITCHING_PROTOCOLS || tunnel && status.is_success() {
                        answered.replace(Some(upgrade));
                    } else {
                        upgrade.decline();
                    }
                }
                Ok::<_, ServiceFailed>(response)
            }
        });
        let mut serving = self.http1.serve_connection(TorsadeIo::new(connection), service);
        let ended = poll_fn(|context| {
            if open.poll_ending(context) {
                Pin::new(&mut serving).graceful_shutdown();
            }
            Pin::new(&mut serving).poll(context)
        })
        .await;
        let parts = serving.into_parts();
        let mut connection = parts.io.into_inner();
        if let Err(error) = ended {
            tell_end(open.transport(), &error);
            if error.is_timeout() {
                // An answer before may still be on its way.
                close(connection).await;
            }
            return;
        }
        let Some(upgrade) = upgrade.take() else { return close(connection).await };
        connection.unread(&parts.read_buf);
        connection.transport().set_tls_truncation_allowed(false);
        match upgrade.give(connection) {
            Some(connection) => close(connection).await,
            None => {
                open.leave_http();
                // This task ends with the connection, whoever has it.
                pending().await
            }
        }
    }

    async fn serve_http2(&self, connection: AsyncConnection, open: &Rc<Open>) {
        let answering = self.answering(open);
        let streams = Streams::new(&self.reactor);
        let service = service_fn(|request: Request<Incoming>| {
            let stream = streams.begin(open);
            let answer = answering.answer(request);
            async move { Ok::<_, ServiceFailed>(answer.await?.map(|body| Pieces::new(body, stream))) }
        });
        let mut http2 = http2::Builder::new(streams.clone());
        http2.timer(self.timer.clone()).keep_alive_interval(self.timeout).keep_alive_timeout(self.timeout);
        http2.max_concurrent_streams(STREAMS).max_header_list_size(HEAD as u32).max_send_buf_size(BUFFER);
        let mut serving = http2.auto_date_header(self.date).serve_connection(TorsadeIo::new(connection), service);
        let mut told = false;
        let ended = poll_fn(|context| {
            if open.poll_ending(context) && !std::mem::replace(&mut told, true) {
                Pin::new(&mut serving).graceful_shutdown();
            }
            Pin::new(&mut serving).poll(context)
        });
        if let Err(error) = ended.await {
            tell_end(open.transport(), &error);
        }
    }

    fn answering(&self, open: &Open) -> Answering<S> {
        let info = ConnectionInfo::of(open.transport());
        Answering { service: self.service.clone(), info, timer: self.timer.clone(), timeout: self.timeout }
    }
}

/// The service of one connection.
struct Answering<S> {
    service: S,
    info: ConnectionInfo,
    timer: TorsadeTimer,
    timeout: Duration,
}

impl<S> Answering<S> {
    fn answer<B>(&self, mut request: Request<Incoming>) -> impl Future<Output = Result<Response<B>, ServiceFailed>> + use<S, B>
    where
        S: Service<Request<RequestBody>, Response = Response<B>>,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let info = self.info.clone();
        request.extensions_mut().insert(info.clone());
        let answer = self.service.call(request.map(|body| RequestBody::new(body, &self.timer, self.timeout)));
        async move {
            answer.await.map_err(|error| {
                let error = error.into();
                log::error!("the HTTP service failed for {}: {}", info.peer(), Chain(&*error));
                ServiceFailed(error)
            })
        }
    }
}

/// Ends our stream once all is sent.
async fn close(mut connection: AsyncConnection) {
    // An error says that it is lost, which the reactor tells of.
    poll_fn(|context| Pin::new(&mut connection).poll_close(context)).await.ok();
}
