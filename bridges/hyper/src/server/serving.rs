//! One connection, from its first byte to its end.

use std::cell::RefCell;
use std::error::Error;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_io::AsyncWrite;
use hyper::body::Body;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper::{Request, Response};
use torsade::{AsyncConnection, Incoming, Reactor};

use super::connection_service::ConnectionService;
use super::connections::{Connections, Open};
use super::head_deadline::HeadDeadline;
use super::http1::Http1;
use super::http2::Http2;
use super::logging::log_end;
use super::stream::Streams;
use super::version::is_http2;
use crate::{RequestBody, TorsadeIo, TorsadeTimer};

/// The number of streams of an HTTP/2 connection that are answered concurrently.
const STREAMS: u32 = 128;

/// The maximum size of a request's head, in bytes.
const HEAD: usize = 16 << 10;

/// How much hyper buffers of what was read, and of what is to be written, in bytes.
const BUFFER: usize = 64 << 10;

/// What the connections of a port share.
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
        http1.header_read_timeout(None).max_buf_size(BUFFER).max_header_size(HEAD);
        http1.half_close(true).auto_date_header(date);
        Self { service, reactor: reactor.clone(), timer, timeout, http1, date }
    }

    /// Serves connections until the port ends.
    pub(super) async fn accept(self: Rc<Self>, mut incoming: Incoming, connections: Rc<Connections>) {
        loop {
            connections.room().await;
            let Some(connection) = incoming.accept().await else { break };
            let transport = connection.transport().clone();
            let (serving, open) = (Rc::clone(&self), connections.add(&transport));
            transport.spawn(move |_| serving.serve(connection, open));
        }
        connections.complete();
    }

    /// Serves `connection` until it ends. An end caused by the peer or the service has been logged.
    async fn serve(self: Rc<Self>, mut connection: AsyncConnection, open: Rc<Open>) {
        // HTTP messages are self-delimiting, and many clients close without close_notify.
        open.transport().set_tls_truncation_allowed(true);
        match open.until_ending(is_http2(&mut connection)).await {
            Some(Ok(true)) => self.serve_http2(connection, &open).await,
            Some(Ok(false)) => self.serve_http1(connection, &open).await,
            // It was lost, which the reactor reports.
            Some(Err(_)) => {}
            None => close(connection).await,
        }
    }

    async fn serve_http1(&self, connection: AsyncConnection, open: &Rc<Open>) {
        open.is_http1();
        let upgrade = Rc::new(RefCell::new(None));
        let deadline = HeadDeadline::begin(open, self.timeout);
        let service = Http1 {
            service: Rc::new(self.connection_service(open)),
            deadline: Rc::clone(&deadline),
            upgrade: Rc::clone(&upgrade),
        };
        let mut serving = self.http1.serve_connection(TorsadeIo::new(connection), service);
        let ended = poll_fn(|context| {
            if open.poll_ending(context) {
                if deadline.has_passed() {
                    // Possibly in the middle of a head, for which hyper would wait.
                    return Poll::Ready(Ok(()));
                }
                Pin::new(&mut serving).graceful_shutdown();
            }
            Pin::new(&mut serving).poll(context)
        })
        .await;
        let parts = serving.into_parts();
        let mut connection = parts.io.into_inner();
        if let Err(error) = ended {
            return log_end(open.transport(), &error);
        }
        let Some(upgrade) = upgrade.take() else { return close(connection).await };
        connection.unread(&parts.read_buf);
        connection.transport().set_tls_truncation_allowed(false);
        match upgrade.give(connection) {
            Some(connection) => close(connection).await,
            None => {
                open.leave_http();
                drop((parts.service, deadline));
                // This task ends with the connection, whoever owns it.
                pending().await
            }
        }
    }

    async fn serve_http2(&self, connection: AsyncConnection, open: &Rc<Open>) {
        let streams = Streams::new(&self.reactor);
        let mut http2 = http2::Builder::new(streams.clone());
        let service = Http2 { service: Rc::new(self.connection_service(open)), open: Rc::clone(open), streams };
        http2.timer(self.timer.clone()).keep_alive_interval(self.timeout).keep_alive_timeout(self.timeout);
        http2.max_concurrent_streams(STREAMS).max_header_list_size(HEAD as u32).max_send_buf_size(BUFFER);
        let mut serving = http2.auto_date_header(self.date).serve_connection(TorsadeIo::new(connection), service);
        let mut reported = false;
        let ended = poll_fn(|context| {
            if open.poll_ending(context) && !std::mem::replace(&mut reported, true) {
                Pin::new(&mut serving).graceful_shutdown();
            }
            Pin::new(&mut serving).poll(context)
        });
        if let Err(error) = ended.await {
            log_end(open.transport(), &error);
        }
    }

    fn connection_service(&self, open: &Open) -> ConnectionService<S> {
        ConnectionService::new(self.service.clone(), open, &self.timer, self.timeout)
    }
}

/// Ends our stream once everything is sent.
async fn close(mut connection: AsyncConnection) {
    // On an error it is lost, which the reactor reports.
    poll_fn(|context| Pin::new(&mut connection).poll_close(context)).await.ok();
}
